//! The protobuf wire format, writing side only: varints and length-delimited fields.

const WIRE_VARINT: u64 = 0;
const WIRE_BYTES: u64 = 2;

/// One message: fields in the order in which they were written.
#[derive(Debug, Default)]
pub struct Message {
    bytes: Vec<u8>,
}

impl Message {
    pub fn unsigned(&mut self, field: u64, value: u64) {
        self.tag(field, WIRE_VARINT);
        self.varint(value);
    }

    /// Writes an `int64`: negative numbers take ten bytes, as protobuf wants them.
    pub fn signed(&mut self, field: u64, value: i64) {
        self.unsigned(field, value.cast_unsigned());
    }

    pub fn text(&mut self, field: u64, value: &str) {
        self.bytes(field, value.as_bytes());
    }

    pub fn bytes(&mut self, field: u64, value: &[u8]) {
        self.tag(field, WIRE_BYTES);
        self.varint(value.len() as u64);
        self.bytes.extend_from_slice(value);
    }

    pub fn message(&mut self, field: u64, value: &Self) {
        self.bytes(field, &value.bytes);
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn tag(&mut self, field: u64, wire: u64) {
        self.varint((field << 3) | wire);
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_written_as_the_protobuf_documentation_shows() {
        let mut message = Message::default();
        message.unsigned(1, 150);
        assert_eq!(message.into_bytes(), [0x08, 0x96, 0x01]);
    }

    #[test]
    fn negative_integers_take_ten_bytes() {
        let mut message = Message::default();
        message.signed(1, -1);
        assert_eq!(message.into_bytes(), [0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]);
    }

    #[test]
    fn text_is_written_as_the_protobuf_documentation_shows() {
        let mut message = Message::default();
        message.text(2, "testing");
        assert_eq!(message.into_bytes(), b"\x12\x07testing");
    }
}
