//! Reads pictures: JPEG and PNG bytes become upright RGB.
//!
//! The bytes come from strangers. Nothing is allocated before the size that the header claims is
//! checked, a picture that ends too early is an error instead of a grey area, and a decoder that
//! panics costs that picture alone.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// The most pixels a picture may have: a 50-megapixel camera's, 150 MB as RGB.
pub const PIXELS_MAX: usize = 50_000_000;
/// The most bytes an encoded picture may have: above any photo of [`PIXELS_MAX`] pixels.
pub const BYTES_MAX: usize = 48 * 1024 * 1024;

/// A decoder's bookkeeping for a PNG of [`PIXELS_MAX`] pixels of 16-bit RGBA fits in this.
const PNG_MEMORY_MAX: usize = 512 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the file is empty")]
    Empty,
    #[error("neither a JPEG nor a PNG")]
    Format,
    #[error("the JPEG is damaged ({0})")]
    Jpeg(String),
    #[error("the PNG is damaged ({0})")]
    Png(#[from] png::DecodingError),
    #[error("{width} x {height} pixels are more than {PIXELS_MAX}")]
    TooManyPixels { width: usize, height: usize },
    #[error("{0} bytes are more than {BYTES_MAX}")]
    TooManyBytes(usize),
    #[error("the decoder failed on it")]
    Panic,
}

/// Pixels as they are stored in the file, and how to turn them upright.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    pub width: usize,
    pub height: usize,
    /// Three bytes a pixel, row by row.
    pub rgb: Vec<u8>,
    pub orientation: Orientation,
}

/// What has to be done to stored pixels so that a person sees them upright (EXIF tag 0x112).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Orientation {
    /// Rows become columns, before the flips.
    pub transposed: bool,
    pub flipped_horizontally: bool,
    pub flipped_vertically: bool,
}

impl Orientation {
    pub const UPRIGHT: Self = Self::new(false, false, false);

    const fn new(transposed: bool, flipped_horizontally: bool, flipped_vertically: bool) -> Self {
        Self { transposed, flipped_horizontally, flipped_vertically }
    }

    /// Unknown values mean upright, as every viewer takes them.
    fn from_exif(value: u32) -> Self {
        match value {
            2 => Self::new(false, true, false),
            3 => Self::new(false, true, true),
            4 => Self::new(false, false, true),
            5 => Self::new(true, false, false),
            6 => Self::new(true, true, false),
            7 => Self::new(true, true, true),
            8 => Self::new(true, false, true),
            _ => Self::UPRIGHT,
        }
    }

    /// Turns `rgb`, whose rows are `width` pixels long; gives the pixels and the new width.
    pub fn apply(self, rgb: Vec<u8>, width: usize) -> (Vec<u8>, usize) {
        if self == Self::UPRIGHT || width == 0 {
            return (rgb, width);
        }
        let (pixels, _) = rgb.as_chunks::<3>();
        let height = pixels.len() / width;
        let (new_width, new_height) =
            if self.transposed { (height, width) } else { (width, height) };
        let mut turned = Vec::with_capacity(rgb.len());
        for row in 0..new_height {
            for column in 0..new_width {
                let x = if self.flipped_horizontally { new_width - 1 - column } else { column };
                let y = if self.flipped_vertically { new_height - 1 - row } else { row };
                let index = if self.transposed { x * width + y } else { y * width + x };
                turned.extend_from_slice(pixels.get(index).unwrap_or(&[0; 3]));
            }
        }
        (turned, new_width)
    }
}

/// Decodes a JPEG or PNG. Grey, palette, CMYK and 16-bit pictures become RGB; transparent pixels
/// are laid over white.
pub fn decode(bytes: &[u8]) -> Result<Picture, Error> {
    if bytes.is_empty() {
        return Err(Error::Empty);
    }
    if bytes.len() > BYTES_MAX {
        return Err(Error::TooManyBytes(bytes.len()));
    }
    let decoder: fn(&[u8]) -> Result<Picture, Error> = if bytes.starts_with(&[0xff, 0xd8]) {
        decode_jpeg
    } else if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        decode_png
    } else {
        return Err(Error::Format);
    };
    catch_unwind(AssertUnwindSafe(|| decoder(bytes))).unwrap_or(Err(Error::Panic))
}

fn decode_jpeg(bytes: &[u8]) -> Result<Picture, Error> {
    match decode_jpeg_with(bytes, true) {
        // Real photos have oddities that every viewer forgives, such as stray bytes between
        // headers. They are forgiven here too where the end of the picture is in the file, as
        // a truncated one would be filled up with grey.
        Err(Error::Jpeg(_)) if ends_with_end_of_image(bytes) => decode_jpeg_with(bytes, false),
        decoded => decoded,
    }
}

fn decode_jpeg_with(bytes: &[u8], strict: bool) -> Result<Picture, Error> {
    let failed = |error: zune_jpeg::errors::DecodeErrors| Error::Jpeg(format!("{error:?}"));
    let options = DecoderOptions::default()
        .set_strict_mode(strict)
        .set_max_width(PIXELS_MAX)
        .set_max_height(PIXELS_MAX)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(failed)?;
    let (width, height) = decoder.dimensions().ok_or_else(|| Error::Jpeg("no size".to_owned()))?;
    check_size(width, height)?;
    let rgb = decoder.decode().map_err(failed)?;
    if rgb.len() != width * height * 3 {
        return Err(Error::Jpeg("an unusual number of colours".to_owned()));
    }
    let orientation = decoder.exif().map_or(Orientation::UPRIGHT, |exif| orientation(exif));
    Ok(Picture { width, height, rgb, orientation })
}

/// Padding after the marker is common and harmless.
fn ends_with_end_of_image(bytes: &[u8]) -> bool {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes.get(..end).is_some_and(|bytes| bytes.ends_with(&[0xff, 0xd9]))
}

fn decode_png(bytes: &[u8]) -> Result<Picture, Error> {
    let limits = png::Limits { bytes: PNG_MEMORY_MAX };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), limits);
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let header = decoder.read_header_info()?;
    let (width, height) = (header.width as usize, header.height as usize);
    check_size(width, height)?;
    let mut reader = decoder.read_info()?;
    let size = reader.output_buffer_size().ok_or(Error::TooManyPixels { width, height })?;
    let mut pixels = vec![0; size];
    let frame = reader.next_frame(&mut pixels)?;
    pixels.truncate(frame.buffer_size());
    let exif = reader.info().exif_metadata.as_deref();
    let orientation = exif.map_or(Orientation::UPRIGHT, orientation);
    let rgb = match frame.color_type {
        png::ColorType::Rgb => pixels,
        png::ColorType::Rgba => {
            let (pixels, _) = pixels.as_chunks::<4>();
            pixels.iter().flat_map(|[r, g, b, a]| [*r, *g, *b].map(|c| over_white(c, *a))).collect()
        }
        png::ColorType::Grayscale | png::ColorType::Indexed => {
            pixels.iter().flat_map(|grey| [*grey; 3]).collect()
        }
        png::ColorType::GrayscaleAlpha => {
            let (pixels, _) = pixels.as_chunks::<2>();
            pixels.iter().flat_map(|[grey, a]| [over_white(*grey, *a); 3]).collect()
        }
    };
    Ok(Picture { width, height, rgb, orientation })
}

fn over_white(colour: u8, alpha: u8) -> u8 {
    let (colour, alpha) = (u32::from(colour), u32::from(alpha));
    ((colour * alpha + 255 * (255 - alpha) + 127) / 255) as u8
}

fn check_size(width: usize, height: usize) -> Result<(), Error> {
    match width.checked_mul(height) {
        Some(pixels) if pixels > 0 && pixels <= PIXELS_MAX => Ok(()),
        _ => Err(Error::TooManyPixels { width, height }),
    }
}

/// Metadata that cannot be read says nothing about the orientation.
fn orientation(exif: &[u8]) -> Orientation {
    let Ok(exif) = exif::Reader::new().read_raw(exif.to_vec()) else {
        return Orientation::UPRIGHT;
    };
    exif.get_field(exif::Tag::Orientation, exif::In::PRIMARY)
        .and_then(|field| field.value.get_uint(0))
        .map_or(Orientation::UPRIGHT, Orientation::from_exif)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A 3 x 2 picture whose pixels are numbered from 1, row by row.
    fn numbered() -> Vec<u8> {
        (1..=6).flat_map(|n| [n; 3]).collect()
    }

    #[test]
    fn every_exif_orientation_turns_the_picture_as_its_definition_says() {
        // Rows of the upright picture, for a stored picture with the rows 123 and 456.
        let cases: [(u32, &[&[u8]]); 8] = [
            (1, &[&[1, 2, 3], &[4, 5, 6]]),
            (2, &[&[3, 2, 1], &[6, 5, 4]]),
            (3, &[&[6, 5, 4], &[3, 2, 1]]),
            (4, &[&[4, 5, 6], &[1, 2, 3]]),
            (5, &[&[1, 4], &[2, 5], &[3, 6]]),
            (6, &[&[4, 1], &[5, 2], &[6, 3]]),
            (7, &[&[6, 3], &[5, 2], &[4, 1]]),
            (8, &[&[3, 6], &[2, 5], &[1, 4]]),
        ];
        for (value, rows) in cases {
            let (rgb, width) = Orientation::from_exif(value).apply(numbered(), 3);
            let expected: Vec<u8> = rows.concat().iter().flat_map(|n| [*n; 3]).collect();
            assert_eq!((rgb, width), (expected, rows[0].len()), "orientation {value}");
        }
    }

    fn png_of(color: png::ColorType, depth: png::BitDepth, data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 2, 1);
        encoder.set_color(color);
        encoder.set_depth(depth);
        if color == png::ColorType::Indexed {
            encoder.set_palette(vec![10, 20, 30, 40, 50, 60]);
        }
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(data).unwrap();
        writer.finish().unwrap();
        bytes
    }

    #[test]
    fn every_kind_of_png_becomes_rgb() {
        use png::{BitDepth, ColorType};
        let cases: [(ColorType, BitDepth, &[u8], [u8; 6]); 6] = [
            (ColorType::Rgb, BitDepth::Eight, &[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6]),
            (ColorType::Grayscale, BitDepth::Eight, &[7, 9], [7, 7, 7, 9, 9, 9]),
            (ColorType::Grayscale, BitDepth::Sixteen, &[7, 0, 9, 0], [7, 7, 7, 9, 9, 9]),
            (ColorType::GrayscaleAlpha, BitDepth::Eight, &[7, 255, 9, 0], [7, 7, 7, 255, 255, 255]),
            (
                ColorType::Rgba,
                BitDepth::Eight,
                &[1, 2, 3, 255, 1, 2, 3, 0],
                [1, 2, 3, 255, 255, 255],
            ),
            (ColorType::Indexed, BitDepth::Eight, &[1, 0], [40, 50, 60, 10, 20, 30]),
        ];
        for (color, depth, data, expected) in cases {
            let picture = decode(&png_of(color, depth, data)).unwrap();
            assert_eq!((picture.width, picture.height), (2, 1));
            assert_eq!(picture.rgb, expected, "{color:?}");
        }
    }

    fn jpeg(side: u16) -> Vec<u8> {
        let pixels: Vec<u8> =
            (0..usize::from(side) * usize::from(side) * 3).map(|i| (i * 7 % 251) as u8).collect();
        let mut bytes = Vec::new();
        jpeg_encoder::Encoder::new(&mut bytes, 90)
            .encode(&pixels, side, side, jpeg_encoder::ColorType::Rgb)
            .unwrap();
        bytes
    }

    #[test]
    fn a_jpeg_is_decoded() {
        let picture = decode(&jpeg(40)).unwrap();
        assert_eq!((picture.width, picture.height, picture.rgb.len()), (40, 40, 4800));
    }

    #[test]
    fn a_truncated_jpeg_is_an_error_at_every_length() {
        let bytes = jpeg(64);
        for length in [0, 1, 2, 20, bytes.len() / 4, bytes.len() / 2, bytes.len() - 40] {
            assert!(decode(&bytes[..length]).is_err(), "{length} of {}", bytes.len());
        }
    }

    #[test]
    fn a_grey_and_a_cmyk_jpeg_become_rgb() {
        for (kind, channels) in
            [(jpeg_encoder::ColorType::Luma, 1), (jpeg_encoder::ColorType::Cmyk, 4)]
        {
            let mut bytes = Vec::new();
            jpeg_encoder::Encoder::new(&mut bytes, 95)
                .encode(&vec![0; 16 * 16 * channels], 16, 16, kind)
                .unwrap();
            let picture = decode(&bytes).unwrap();
            assert_eq!(picture.rgb.len(), 16 * 16 * 3);
            // Black as grey; no ink as CMYK.
            let expected = if channels == 1 { 0 } else { 255 };
            assert!(picture.rgb.iter().all(|c| c.abs_diff(expected) < 4), "{kind:?}");
        }
    }

    #[test]
    fn a_header_that_claims_too_many_pixels_is_refused_before_anything_is_allocated() {
        let mut bytes = jpeg(16);
        let frame = bytes.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
        bytes[frame + 5..frame + 9].copy_from_slice(&[0xff, 0xff, 0xff, 0xff]);
        assert!(matches!(decode(&bytes), Err(Error::TooManyPixels { .. })));

        let mut bytes = png_of(png::ColorType::Grayscale, png::BitDepth::Eight, &[1, 2]);
        bytes[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
        // The header's checksum no longer fits; either refusal is right.
        assert!(matches!(decode(&bytes), Err(Error::TooManyPixels { .. } | Error::Png(_))));
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        assert!(matches!(decode(b""), Err(Error::Empty)));
        assert!(matches!(decode(b"GIF89a"), Err(Error::Format)));
        assert!(decode(b"\x89PNG\r\n\x1a\nnonsense").is_err());
    }
}
