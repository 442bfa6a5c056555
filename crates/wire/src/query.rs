//! The query protocol's requests: `Action=...&Version=...&Names.member.1=...`, read into shapes.

use std::collections::BTreeMap;

use serde::de::{self, DeserializeOwned, IntoDeserializer, Visitor};

use crate::decode::{self, DecodeError};
use crate::timestamp;

/// Levels of `a.b.c`; the deepest shapes of the query services have six.
const DEPTH_MAX: usize = 16;

/// Parameters of one request; the largest lists of the query services have a thousand.
const PARAMETERS_MAX: usize = 10_000;

/// A request's parameters, as a tree.
#[derive(Debug, Default)]
pub struct Form {
    pub action: Option<String>,
    pub version: Option<String>,
    root: Node,
}

#[derive(Debug, Default)]
struct Node {
    text: Option<String>,
    children: BTreeMap<String, Node>,
}

impl Form {
    /// From a form body or a query string. Parameters of the signature (`X-Amz-...`) are left out.
    pub fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut form = Self::default();
        for (count, (name, value)) in form_urlencoded::parse(bytes).enumerate() {
            if count == PARAMETERS_MAX {
                let problem = format!("more than {PARAMETERS_MAX} parameters");
                return Err(DecodeError::Malformed(problem));
            }
            match name.as_ref() {
                "Action" => form.action = Some(value.into_owned()),
                "Version" => form.version = Some(value.into_owned()),
                name if is_signature(name) => {}
                name => form.root.insert(name, value.into_owned())?,
            }
        }
        Ok(form)
    }

    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        decode::decode(&self.root)
    }
}

fn is_signature(name: &str) -> bool {
    name.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("x-amz-"))
}

impl Node {
    fn insert(&mut self, path: &str, value: String) -> Result<(), DecodeError> {
        let mut node = self;
        for (depth, part) in path.split('.').enumerate() {
            if depth == DEPTH_MAX {
                let problem = format!("nested deeper than {DEPTH_MAX} levels");
                return Err(DecodeError::WrongType { member: path.to_owned(), problem });
            }
            node = node.children.entry(part.to_owned()).or_default();
        }
        if node.text.replace(value).is_some() {
            return Err(DecodeError::Malformed(format!("{path} is given twice")));
        }
        Ok(())
    }

    fn scalar(&self) -> Result<&str, Error> {
        match &self.text {
            Some(text) if self.children.is_empty() => Ok(text),
            _ => Err(Error("expected a value, not a structure".to_owned())),
        }
    }

    fn parsed<T: std::str::FromStr>(&self, what: &str) -> Result<T, Error> {
        let text = self.scalar()?;
        text.parse().map_err(|_| Error(format!("`{text}` is not {what}")))
    }

    /// Elements in the order of their numbers: below `wrapper`, or directly in a flattened list.
    /// `Name=` alone is an empty list.
    fn elements(&self, wrapper: &str) -> Result<Vec<&Node>, Error> {
        if self.text.as_deref().is_some_and(|text| !text.is_empty()) {
            return Err(Error("expected a list, not a value".to_owned()));
        }
        let list = self.children.get(wrapper).unwrap_or(self);
        let mut numbered = Vec::with_capacity(list.children.len());
        for (number, node) in &list.children {
            let number: u32 =
                number.parse().map_err(|_| Error(format!("`{number}` is not a list index")))?;
            numbered.push((number, node));
        }
        numbered.sort_by_key(|(number, _)| *number);
        Ok(numbered.into_iter().map(|(_, node)| node).collect())
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Error(String);

impl de::Error for Error {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

macro_rules! parsed {
    ($($method:ident $visit:ident $what:literal),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            visitor.$visit(self.parsed($what)?)
        }
    )*};
}

impl<'de> de::Deserializer<'de> for &'de Node {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.children.is_empty() {
            self.deserialize_str(visitor)
        } else {
            self.deserialize_struct("", &[], visitor)
        }
    }

    parsed! {
        deserialize_bool visit_bool "true or false",
        deserialize_i8 visit_i8 "an integer",
        deserialize_i16 visit_i16 "an integer",
        deserialize_i32 visit_i32 "an integer",
        deserialize_i64 visit_i64 "an integer",
        deserialize_u8 visit_u8 "an unsigned integer",
        deserialize_u16 visit_u16 "an unsigned integer",
        deserialize_u32 visit_u32 "an unsigned integer",
        deserialize_u64 visit_u64 "an unsigned integer",
        deserialize_f32 visit_f32 "a number",
        deserialize_f64 visit_f64 "a number"
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_str(self.scalar()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        if name == timestamp::MARK {
            return visitor.visit_str(self.scalar()?);
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let elements = self.elements("member")?;
        visitor.visit_seq(de::value::SeqDeserializer::new(elements.into_iter().map(NodeRef)))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let mut entries = Vec::new();
        for entry in self.elements("entry")? {
            let key = entry.children.get("key").and_then(|key| key.text.clone());
            let key = key.ok_or_else(|| Error("a map's entry has no `key`".to_owned()))?;
            let value = entry.children.get("value");
            let value = value.ok_or_else(|| Error(format!("`{key}` has no `value`")))?;
            entries.push((key, NodeRef(value)));
        }
        visitor.visit_map(de::value::MapDeserializer::new(entries.into_iter()))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if self.text.as_deref().is_some_and(|text| !text.is_empty()) {
            return Err(Error("expected a structure, not a value".to_owned()));
        }
        let members = self.children.iter().map(|(name, node)| (name.as_str(), NodeRef(node)));
        visitor.visit_map(de::value::MapDeserializer::new(members))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(self.scalar()?.into_deserializer())
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        char bytes byte_buf identifier unit_struct tuple tuple_struct
    }
}

/// Lets serde's own sequence and map readers hand out nodes.
struct NodeRef<'de>(&'de Node);

impl<'de> IntoDeserializer<'de, Error> for NodeRef<'de> {
    type Deserializer = &'de Node;

    fn into_deserializer(self) -> &'de Node {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Blob, Timestamp};
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "PascalCase", deny_unknown_fields)]
    struct Input {
        role_name: Option<String>,
        duration_seconds: Option<i64>,
        enabled: Option<bool>,
        start_time: Option<Timestamp>,
        data: Option<Blob>,
        action_names: Option<Vec<String>>,
        tags: Option<Vec<Tag>>,
        attributes: Option<BTreeMap<String, String>>,
        nested: Option<Box<Input>>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "PascalCase", deny_unknown_fields)]
    struct Tag {
        key: Option<String>,
        value: Option<String>,
    }

    fn read(text: &str) -> Result<Input, DecodeError> {
        Form::parse(text.as_bytes())?.decode()
    }

    #[test]
    fn every_kind_of_member_is_read() {
        let input = read(
            "Action=A&Version=1&RoleName=a%20b+c&DurationSeconds=900&Enabled=true\
             &StartTime=2024-11-22T15:22:39Z&Data=AP8%2F\
             &ActionNames.member.2=y&ActionNames.member.1=x&ActionNames.member.10=z\
             &Tags.member.1.Key=k&Tags.member.1.Value=v\
             &Attributes.entry.1.key=a&Attributes.entry.1.value=b&Nested.Enabled=false",
        )
        .unwrap();
        assert_eq!(input.role_name.as_deref(), Some("a b c"));
        assert_eq!(input.duration_seconds, Some(900));
        assert_eq!(input.start_time, Some(Timestamp(1_732_288_959_000)));
        assert_eq!(input.data.unwrap().0.as_ref(), b"\x00\xff?");
        assert_eq!(input.action_names.unwrap(), ["x", "y", "z"]);
        assert_eq!(input.tags.unwrap().len(), 1);
        assert_eq!(input.attributes.unwrap()["a"], "b");
        assert_eq!(input.nested.unwrap().enabled, Some(false));
    }

    #[test]
    fn action_and_version_are_told_apart_and_signatures_left_out() {
        let form = Form::parse(b"Action=A&Version=2011-06-15&X-Amz-Signature=00").unwrap();
        assert_eq!(form.action.as_deref(), Some("A"));
        assert_eq!(form.version.as_deref(), Some("2011-06-15"));
        assert!(form.decode::<Input>().is_ok());
    }

    #[test]
    fn flattened_and_empty_lists_are_lists() {
        assert_eq!(read("ActionNames.1=x").unwrap().action_names.unwrap(), ["x"]);
        assert_eq!(read("ActionNames=").unwrap().action_names.unwrap(), Vec::<String>::new());
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let wrong = |text: &str| read(text).unwrap_err().to_string();
        assert_eq!(wrong("DurationSeconds=ten"), "DurationSeconds: `ten` is not an integer");
        assert_eq!(wrong("Nested.Enabled=yes"), "Nested.Enabled: `yes` is not true or false");
        assert_eq!(wrong("RoleName=a&RoleName=b"), "RoleName is given twice");
        assert_eq!(
            read("Nested.Colour=red").unwrap_err(),
            DecodeError::UnknownMember("Nested.Colour".to_owned())
        );
        assert!(wrong("ActionNames.member.x=1").contains("not a list index"));
        assert!(wrong("RoleName.x=1").contains("expected a value"));
        assert!(wrong("Nested=1").contains("expected a structure"));
    }

    #[test]
    fn depth_and_number_have_bounds() {
        assert!(read(&"a.".repeat(40)).is_err());
        let many: String = (0..=PARAMETERS_MAX).map(|n| format!("a.{n}=1&")).collect();
        assert!(matches!(read(&many), Err(DecodeError::Malformed(_))));
    }
}
