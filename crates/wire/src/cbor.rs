//! As much CBOR as an error takes: clients that begin with rpc-v2-cbor learn why it is not there.

/// `{"__type": code, "message": message}`
pub(crate) fn error(code: &str, message: &str) -> Vec<u8> {
    const MAP_OF_TWO: u8 = 0xa2;
    let mut out = vec![MAP_OF_TWO];
    for part in ["__type", code, "message", message] {
        text(&mut out, part);
    }
    out
}

fn text(out: &mut Vec<u8>, text: &str) {
    const TEXT: u8 = 0x60;
    const LENGTH_IN_ONE_BYTE: u8 = 24;
    const LENGTH_IN_FOUR_BYTES: u8 = 26;
    match u8::try_from(text.len()) {
        Ok(length) if length < LENGTH_IN_ONE_BYTE => out.push(TEXT | length),
        Ok(length) => out.extend([TEXT | LENGTH_IN_ONE_BYTE, length]),
        Err(_) => {
            let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
            out.push(TEXT | LENGTH_IN_FOUR_BYTES);
            out.extend(length.to_be_bytes());
        }
    }
    out.extend(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_as_rfc_8949_says() {
        let out = error("E", &"m".repeat(300));
        assert_eq!(out.get(..9), Some(&b"\xa2\x66__type\x61"[..]));
        assert_eq!(out.get(9..10), Some(&b"E"[..]));
        assert_eq!(out.get(10..18), Some(&b"\x67message"[..]));
        assert_eq!(out.get(18..23), Some(&b"\x7a\x00\x00\x01\x2c"[..]));
    }
}
