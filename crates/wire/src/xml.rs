//! Answers in XML: the query protocol's responses, and errors of query and rest-xml.

use serde::Serialize;
use serde::ser;

use crate::protocol::{Envelope, ErrorAnswer};
use crate::timestamp::{self, Timestamp};

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

impl ser::Error for Error {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// `<OpResponse><OpResult>...</OpResult><ResponseMetadata>...`; a `()` output has no result.
pub fn response<T: Serialize>(envelope: Envelope<'_>, output: &T) -> Result<String, Error> {
    let operation = envelope.operation;
    let mut out = format!("<{operation}Response{}>", namespace(envelope));
    output.serialize(Element { out: &mut out, name: &format!("{operation}Result") })?;
    out.push_str("<ResponseMetadata>");
    element(&mut out, "RequestId", envelope.request_id);
    out.push_str("</ResponseMetadata>");
    out.push_str(&format!("</{operation}Response>"));
    Ok(out)
}

pub(crate) fn query_error(envelope: Envelope<'_>, error: ErrorAnswer<'_>, fault: &str) -> String {
    let mut out = format!("<ErrorResponse{}><Error>", namespace(envelope));
    element(&mut out, "Type", fault);
    element(&mut out, "Code", error.code);
    element(&mut out, "Message", error.message);
    out.push_str("</Error>");
    element(&mut out, "RequestId", envelope.request_id);
    out.push_str("</ErrorResponse>");
    out
}

pub(crate) fn rest_error(envelope: Envelope<'_>, error: ErrorAnswer<'_>) -> String {
    let mut out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>".to_owned();
    element(&mut out, "Code", error.code);
    element(&mut out, "Message", error.message);
    element(&mut out, "RequestId", envelope.request_id);
    out.push_str("</Error>");
    out
}

fn namespace(envelope: Envelope<'_>) -> String {
    envelope.xml_namespace.map(|name| format!(" xmlns=\"{name}\"")).unwrap_or_default()
}

fn element(out: &mut String, name: &str, text: &str) {
    open(out, name);
    escape(out, text);
    close(out, name);
}

fn open(out: &mut String, name: &str) {
    out.push('<');
    out.push_str(name);
    out.push('>');
}

fn close(out: &mut String, name: &str) {
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

fn escape(out: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // A parser would turn a bare carriage return into a line feed.
            '\r' => out.push_str("&#xD;"),
            '\n' | '\t' => out.push(character),
            // No XML 1.0 document can hold these, not even escaped.
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            character => out.push(character),
        }
    }
}

/// Writes a value as the element `name`; absent values and `()` leave nothing.
struct Element<'a> {
    out: &'a mut String,
    name: &'a str,
}

impl Element<'_> {
    fn text(self, text: &str) -> Result<(), Error> {
        element(self.out, self.name, text);
        Ok(())
    }
}

macro_rules! plain {
    ($($method:ident $type:ty),*) => {$(
        fn $method(self, value: $type) -> Result<(), Error> {
            self.text(&value.to_string())
        }
    )*};
}

impl<'a> ser::Serializer for Element<'a> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Members<'a>;
    type SerializeTuple = Members<'a>;
    type SerializeTupleStruct = Members<'a>;
    type SerializeTupleVariant = ser::Impossible<(), Error>;
    type SerializeMap = Members<'a>;
    type SerializeStruct = Members<'a>;
    type SerializeStructVariant = ser::Impossible<(), Error>;

    plain! {
        serialize_bool bool, serialize_i8 i8, serialize_i16 i16, serialize_i32 i32,
        serialize_i64 i64, serialize_u8 u8, serialize_u16 u16, serialize_u32 u32,
        serialize_u64 u64, serialize_f32 f32, serialize_f64 f64, serialize_char char
    }

    fn serialize_str(self, text: &str) -> Result<(), Error> {
        self.text(text)
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<(), Error> {
        Err(Error("bytes are written as a Blob".to_owned()))
    }

    fn serialize_none(self) -> Result<(), Error> {
        Ok(())
    }

    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        Ok(())
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), Error> {
        self.text(variant)
    }

    fn serialize_newtype_struct<T: ?Sized + Serialize>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        if name != timestamp::MARK {
            return value.serialize(self);
        }
        let mut seconds = String::new();
        value.serialize(Element { out: &mut seconds, name: "" })?;
        let seconds = seconds.trim_start_matches("<>").trim_end_matches("</>");
        let at = seconds.parse().ok().and_then(Timestamp::from_epoch_seconds);
        let text = at.and_then(Timestamp::to_iso);
        self.text(&text.ok_or_else(|| Error(format!("`{seconds}` s is no year of four digits")))?)
    }

    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        open(self.out, self.name);
        value.serialize(Element { out: self.out, name: variant })?;
        close(self.out, self.name);
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Members<'a>, Error> {
        open(self.out, self.name);
        Ok(Members { out: self.out, name: self.name })
    }

    fn serialize_tuple(self, length: usize) -> Result<Members<'a>, Error> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_struct(self, _: &'static str, length: usize) -> Result<Members<'a>, Error> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Error> {
        Err(Error("no AWS shape is a tuple variant".to_owned()))
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Members<'a>, Error> {
        self.serialize_seq(length)
    }

    fn serialize_struct(self, _: &'static str, length: usize) -> Result<Members<'a>, Error> {
        self.serialize_seq(Some(length))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Error> {
        Err(Error("no AWS shape is a struct variant".to_owned()))
    }
}

/// What stands inside an opened element.
struct Members<'a> {
    out: &'a mut String,
    name: &'a str,
}

impl Members<'_> {
    fn write<T: ?Sized + Serialize>(&mut self, name: &str, value: &T) -> Result<(), Error> {
        value.serialize(Element { out: self.out, name })
    }

    fn close(self) -> Result<(), Error> {
        close(self.out, self.name);
        Ok(())
    }
}

impl ser::SerializeSeq for Members<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Error> {
        self.write("member", value)
    }

    fn end(self) -> Result<(), Error> {
        self.close()
    }
}

impl ser::SerializeTuple for Members<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Error> {
        self.write("member", value)
    }

    fn end(self) -> Result<(), Error> {
        self.close()
    }
}

impl ser::SerializeTupleStruct for Members<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Error> {
        self.write("member", value)
    }

    fn end(self) -> Result<(), Error> {
        self.close()
    }
}

impl ser::SerializeMap for Members<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: ?Sized + Serialize>(&mut self, key: &T) -> Result<(), Error> {
        open(self.out, "entry");
        self.write("key", key)
    }

    fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), Error> {
        self.write("value", value)?;
        close(self.out, "entry");
        Ok(())
    }

    fn end(self) -> Result<(), Error> {
        self.close()
    }
}

impl ser::SerializeStruct for Members<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: ?Sized + Serialize>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.write(name, value)
    }

    fn end(self) -> Result<(), Error> {
        self.close()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Output {
        name: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        absent: Option<&'static str>,
        count: i64,
        at: Timestamp,
        names: Vec<&'static str>,
        map: BTreeMap<&'static str, bool>,
    }

    #[test]
    fn every_kind_of_member_is_written() {
        let envelope = Envelope { operation: "Op", xml_namespace: None, request_id: "r" };
        let output = Output {
            name: "<a & \u{1}b>",
            absent: None,
            count: -3,
            at: Timestamp(1_732_288_959_123),
            names: vec!["x", "y"],
            map: BTreeMap::from([("k", true)]),
        };
        assert_eq!(
            response(envelope, &output).unwrap(),
            "<OpResponse><OpResult><Name>&lt;a &amp; \u{fffd}b&gt;</Name><Count>-3</Count>\
             <At>2024-11-22T15:22:39.123Z</At>\
             <Names><member>x</member><member>y</member></Names>\
             <Map><entry><key>k</key><value>true</value></entry></Map></OpResult>\
             <ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></OpResponse>"
        );
    }
}
