//! The shape of a type that is read from a wire: its members and their kinds, found out by letting
//! it deserialize from a source that records what it asks for.
//!
//! The conformance test compares these shapes with the models of the AWS clients.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use serde::Serialize;
use serde::de::value::{BorrowedStrDeserializer, F64Deserializer};
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use crate::timestamp;

/// What a type asks for when it is read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Shape {
    Structure {
        members: BTreeMap<&'static str, Shape>,
    },
    List {
        member: Box<Shape>,
    },
    Map {
        value: Box<Shape>,
    },
    Text,
    Integer,
    Number,
    Boolean,
    Timestamp,
    /// Any value at all: what a member is that is only refused by name.
    #[default]
    Any,
}

/// Deeper nesting than any AWS shape has; ends the recording of a shape that holds itself.
const DEPTH_MAX: usize = 24;

/// The shape of `T`. Members of a type that refuses the recorded sample values are `Any`.
pub fn of<T: DeserializeOwned>() -> Shape {
    let found = Found::default();
    // Only what was asked for counts; whether the samples made a value does not.
    let _ = T::deserialize(Recorder { found: found.clone(), depth: 0 });
    found.take()
}

#[derive(Clone, Default)]
struct Found(Rc<RefCell<Shape>>);

impl Found {
    fn set(&self, shape: Shape) {
        *self.0.borrow_mut() = shape;
    }

    fn take(&self) -> Shape {
        self.0.borrow().clone()
    }
}

struct Recorder {
    found: Found,
    depth: usize,
}

type Error = serde::de::value::Error;

impl Recorder {
    fn inner(&self, found: &Found) -> Result<Self, Error> {
        if self.depth >= DEPTH_MAX {
            return Err(serde::de::Error::custom("the shape holds itself"));
        }
        Ok(Self { found: found.clone(), depth: self.depth + 1 })
    }
}

macro_rules! leaf {
    ($($method:ident $shape:ident $visit:ident $sample:expr),* $(,)?) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.found.set(Shape::$shape);
            visitor.$visit($sample)
        }
    )*};
}

impl<'de> Deserializer<'de> for Recorder {
    type Error = Error;

    leaf! {
        deserialize_bool Boolean visit_bool false,
        deserialize_i8 Integer visit_i8 1,
        deserialize_i16 Integer visit_i16 1,
        deserialize_i32 Integer visit_i32 1,
        deserialize_i64 Integer visit_i64 1,
        deserialize_u8 Integer visit_u8 1,
        deserialize_u16 Integer visit_u16 1,
        deserialize_u32 Integer visit_u32 1,
        deserialize_u64 Integer visit_u64 1,
        deserialize_f32 Number visit_f32 1.0,
        deserialize_f64 Number visit_f64 1.0,
        deserialize_str Text visit_borrowed_str "",
        deserialize_string Text visit_borrowed_str "",
        deserialize_identifier Text visit_borrowed_str "",
        deserialize_any Any visit_bool false,
        deserialize_ignored_any Any visit_bool false,
    }

    forward_to_deserialize_any! { i128 u128 char bytes byte_buf unit unit_struct tuple }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        if name == timestamp::MARK {
            self.found.set(Shape::Timestamp);
            return visitor.visit_newtype_struct(F64Deserializer::new(1.0));
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _length: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_any(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let member = Found::default();
        let source = Some(self.inner(&member)?);
        let value = visitor.visit_seq(OneElement(source));
        self.found.set(Shape::List { member: Box::new(member.take()) });
        value
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let member = Found::default();
        let source = Some(self.inner(&member)?);
        let value = visitor.visit_map(OneEntry(source));
        self.found.set(Shape::Map { value: Box::new(member.take()) });
        value
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let members: Vec<(&'static str, Found)> =
            names.iter().map(|name| (*name, Found::default())).collect();
        let value = visitor.visit_map(Members { recorder: &self, left: &members, current: None });
        let members = members.into_iter().map(|(name, found)| (name, found.take())).collect();
        self.found.set(Shape::Structure { members });
        value
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.found.set(Shape::Text);
        let first = variants.first().copied().unwrap_or_default();
        visitor.visit_enum(BorrowedStrDeserializer::new(first))
    }
}

struct OneElement(Option<Recorder>);

impl<'de> SeqAccess<'de> for OneElement {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        self.0.take().map(|recorder| seed.deserialize(recorder)).transpose()
    }
}

struct OneEntry(Option<Recorder>);

impl<'de> MapAccess<'de> for OneEntry {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let key = self.0.as_ref().map(|_| BorrowedStrDeserializer::new("key"));
        key.map(|key| seed.deserialize(key)).transpose()
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Error> {
        match self.0.take() {
            Some(recorder) => seed.deserialize(recorder),
            None => Err(serde::de::Error::custom("a value without its key")),
        }
    }
}

/// Offers each member in turn. A member that refuses its sample ends only itself where the type
/// allows that; the rest of the structure is recorded by its names.
struct Members<'a> {
    recorder: &'a Recorder,
    left: &'a [(&'static str, Found)],
    current: Option<&'a Found>,
}

impl<'de> MapAccess<'de> for Members<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let Some(((name, found), left)) = self.left.split_first() else { return Ok(None) };
        self.left = left;
        self.current = Some(found);
        seed.deserialize(BorrowedStrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Error> {
        match self.current.take() {
            Some(found) => seed.deserialize(self.recorder.inner(found)?),
            None => Err(serde::de::Error::custom("a value without its name")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::{Blob, Timestamp};

    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase", deny_unknown_fields)]
    #[expect(dead_code, reason = "only its shape is of interest")]
    struct Job {
        job_name: Option<String>,
        tags: Option<Vec<Tag>>,
        environment: Option<BTreeMap<String, String>>,
        created_after: Option<Timestamp>,
        code: Option<Blob>,
        max_results: Option<i32>,
        wait: Option<bool>,
        refused: Option<serde_json::Value>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    #[expect(dead_code, reason = "only its shape is of interest")]
    struct Tag {
        key: String,
    }

    #[test]
    fn a_shape_names_every_member_and_its_kind() {
        let Shape::Structure { members } = of::<Job>() else { panic!("no structure") };
        let tag = Shape::Structure { members: BTreeMap::from([("Key", Shape::Text)]) };
        let expected = BTreeMap::from([
            ("JobName", Shape::Text),
            ("Tags", Shape::List { member: Box::new(tag) }),
            ("Environment", Shape::Map { value: Box::new(Shape::Text) }),
            ("CreatedAfter", Shape::Timestamp),
            ("Code", Shape::Text),
            ("MaxResults", Shape::Integer),
            ("Wait", Shape::Boolean),
            ("Refused", Shape::Any),
        ]);
        assert_eq!(members, expected);
    }
}
