//! Access keys, and where their random parts come from.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Error;

/// The account's own key, which may do everything.
#[derive(Clone, PartialEq, Eq)]
pub struct RootKey {
    pub access_key_id: String,
    pub secret_access_key: String,
}

impl std::fmt::Debug for RootKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "RootKey({})", self.access_key_id)
    }
}

impl RootKey {
    /// `AKIA` and 16 characters, and a secret of 40.
    pub fn random() -> Result<Self, Error> {
        Ok(Self { access_key_id: random_id("AKIA")?, secret_access_key: random_secret()? })
    }

    /// A key chosen by the person who starts the server.
    pub fn given(access_key_id: &str, secret_access_key: &str) -> Result<Self, Error> {
        let fits = (16..=128).contains(&access_key_id.len())
            && access_key_id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !fits {
            return Err(Error::BadAccessKeyId);
        }
        let fits = (16..=128).contains(&secret_access_key.len())
            && secret_access_key.bytes().all(|byte| byte.is_ascii_graphic());
        if !fits {
            return Err(Error::BadSecret);
        }
        Ok(Self {
            access_key_id: access_key_id.to_owned(),
            secret_access_key: secret_access_key.to_owned(),
        })
    }

    /// The text of an AWS credentials file with this key as its default profile.
    pub fn to_credentials_file(&self) -> String {
        format!(
            "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
            self.access_key_id, self.secret_access_key
        )
    }

    /// Reads the default profile of an AWS credentials file.
    pub fn from_credentials_file(text: &str) -> Result<Self, Error> {
        let access_key_id = setting(text, "aws_access_key_id")?;
        let secret_access_key = setting(text, "aws_secret_access_key")?;
        Self::given(access_key_id, secret_access_key)
    }
}

fn setting<'a>(text: &'a str, name: &'static str) -> Result<&'a str, Error> {
    let mut in_default = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            in_default = line == "[default]";
        } else if let Some((found, value)) = line.split_once('=')
            && in_default
            && found.trim() == name
        {
            return Ok(value.trim());
        }
    }
    Err(Error::BadCredentialsFile(name))
}

/// A prefix of four letters and 16 random characters of base 32.
pub(super) fn random_id(prefix: &str) -> Result<String, Error> {
    Ok(id_of(prefix, random_bytes()?))
}

/// As [`random_id`], but always the same for the same bytes.
pub(super) fn id_of(prefix: &str, bytes: [u8; 16]) -> String {
    let mut id = prefix.to_owned();
    // The alphabet has 32 characters, so that the remainder favours none.
    id.extend(bytes.iter().map(|byte| match byte % 32 {
        letter @ 0..26 => char::from(b'A' + letter),
        digit => char::from(b'2' + digit - 26),
    }));
    id
}

/// 240 random bits in 40 characters.
pub(super) fn random_secret() -> Result<String, Error> {
    Ok(STANDARD.encode(random_bytes::<30>()?))
}

/// 384 random bits in 64 characters.
pub(super) fn random_token() -> Result<String, Error> {
    Ok(STANDARD.encode(random_bytes::<48>()?))
}

fn random_bytes<const COUNT: usize>() -> Result<[u8; COUNT], Error> {
    let mut bytes = [0; COUNT];
    getrandom::fill(&mut bytes).map_err(Error::Random)?;
    Ok(bytes)
}
