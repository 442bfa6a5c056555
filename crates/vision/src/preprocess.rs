//! From a picture to what a model takes: one function for training and serving.
//!
//! The shorter side is scaled to `resize` pixels (bicubic, filtered when shrinking, as PIL does
//! it), the middle `crop` x `crop` pixels are cut out, and each channel becomes
//! (x - mean) / scale. A model directory carries these numbers in `preprocess.json`.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use serde::{Deserialize, Serialize};

use crate::picture::Picture;

/// The largest crop a model may ask for: four times the default, 12 MB a picture.
const CROP_MAX: usize = 1024;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the picture cannot be resized")]
    Resize(#[from] fast_image_resize::ResizeError),
    #[error("the picture's buffer has the wrong size")]
    Buffer(#[from] fast_image_resize::ImageBufferError),
    #[error("`{0}` is out of range")]
    Range(&'static str),
}

/// How pictures are prepared. The default is what EfficientNet-Lite0 was trained with.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocessing {
    /// Pixels of the shorter side after scaling.
    pub resize: usize,
    /// Width and height of the middle that is used.
    pub crop: usize,
    /// Subtracted from each channel, on a scale of 0 to 255.
    pub mean: [f32; 3],
    /// What each channel is divided by afterwards.
    pub scale: [f32; 3],
}

impl Default for Preprocessing {
    fn default() -> Self {
        Self { resize: 256, crop: crate::backbone::SIDE, mean: [127.0; 3], scale: [128.0; 3] }
    }
}

impl Preprocessing {
    /// Refuses numbers that no picture can be prepared with.
    pub fn check(&self) -> Result<(), Error> {
        if self.crop == 0 || self.crop > CROP_MAX {
            return Err(Error::Range("crop"));
        }
        if self.resize < self.crop || self.resize > 2 * CROP_MAX {
            return Err(Error::Range("resize"));
        }
        if self.scale.iter().any(|scale| !scale.is_normal()) {
            return Err(Error::Range("scale"));
        }
        if self.mean.iter().any(|mean| !mean.is_finite()) {
            return Err(Error::Range("mean"));
        }
        Ok(())
    }

    /// Values of one prepared picture.
    pub fn len(&self) -> usize {
        3 * self.crop * self.crop
    }

    /// Always false: [`Self::check`] refuses an empty crop.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The shape of a batch.
    pub fn shape(&self, pictures: usize) -> [usize; 4] {
        [pictures, 3, self.crop, self.crop]
    }

    /// Appends 3 x crop x crop values to `batch`: all red ones, all green ones, all blue ones.
    pub fn append(&self, picture: &Picture, batch: &mut Vec<f32>) -> Result<(), Error> {
        let rgb = square(picture, self.resize, self.crop)?;
        for (channel, (mean, scale)) in self.mean.iter().zip(self.scale).enumerate() {
            let values = rgb.iter().skip(channel).step_by(3);
            batch.extend(values.map(|value| (f32::from(*value) - mean) / scale));
        }
        Ok(())
    }
}

/// The upright middle of a picture, `crop` x `crop` pixels of RGB, after its shorter side was
/// scaled to `resize`.
pub fn square(picture: &Picture, resize: usize, crop: usize) -> Result<Vec<u8>, Error> {
    let shorter = picture.width.min(picture.height).max(1);
    let axis = |length: usize| {
        // Scaling to whole pixels and cropping whole pixels, in one step: only the middle is
        // computed, and it equals what scaling everything and cutting afterwards gives.
        let scaled = (length * resize / shorter).max(resize);
        let start = (scaled - crop).div_ceil(2);
        let step = length as f64 / scaled as f64;
        (start as f64 * step, crop as f64 * step)
    };
    let (left, width) = axis(picture.width);
    let (top, height) = axis(picture.height);
    let source =
        ImageRef::new(picture.width as u32, picture.height as u32, &picture.rgb, PixelType::U8x3)?;
    let mut middle = Image::new(crop as u32, crop as u32, PixelType::U8x3);
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom))
        .crop(left, top, width, height)
        .use_alpha(false);
    Resizer::new().resize(&source, &mut middle, &options)?;
    let (rgb, _) = picture.orientation.apply(middle.into_vec(), crop);
    Ok(rgb)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Orientation;

    fn plain(width: usize, height: usize, colour: [u8; 3]) -> Picture {
        Picture {
            width,
            height,
            rgb: colour.repeat(width * height),
            orientation: Orientation::UPRIGHT,
        }
    }

    #[test]
    fn every_shape_of_picture_gives_the_same_number_of_values() {
        let preprocessing = Preprocessing::default();
        for (width, height) in [(1, 1), (256, 256), (3000, 20), (17, 900), (299, 299)] {
            let mut batch = Vec::new();
            preprocessing.append(&plain(width, height, [127, 255, 0]), &mut batch).unwrap();
            assert_eq!(batch.len(), preprocessing.len(), "{width} x {height}");
            let (plane, _) = batch.as_chunks::<{ 224 * 224 }>();
            assert!(plane[0].iter().all(|value| *value == 0.0));
            assert!(plane[1].iter().all(|value| *value == 1.0));
            assert!(plane[2].iter().all(|value| *value == -127.0 / 128.0));
        }
    }

    #[test]
    fn the_middle_is_taken() {
        // A red band, a green middle and a blue band; only the middle survives the crop.
        let row: Vec<u8> = (0..600)
            .flat_map(|x| match x {
                0..150 => [255, 0, 0],
                150..450 => [0, 255, 0],
                _ => [0, 0, 255],
            })
            .collect();
        let picture = Picture {
            width: 600,
            height: 256,
            rgb: row.repeat(256),
            orientation: Orientation::UPRIGHT,
        };
        let rgb = square(&picture, 256, 224).unwrap();
        assert!(rgb.as_chunks::<3>().0.iter().all(|pixel| *pixel == [0, 255, 0]));
    }

    #[test]
    fn scaling_and_cropping_in_one_step_equals_two_steps() {
        let picture = Picture {
            width: 411,
            height: 300,
            rgb: (0..411_u64 * 300 * 3).map(|i| (i * i / 97 % 256) as u8).collect(),
            orientation: Orientation::UPRIGHT,
        };
        let at_once = square(&picture, 256, 224).unwrap();

        let (width, height) = (411 * 256 / 300, 256);
        let source = ImageRef::new(411, 300, &picture.rgb, PixelType::U8x3).unwrap();
        let mut scaled = Image::new(width, height, PixelType::U8x3);
        let options = ResizeOptions::new()
            .resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom))
            .use_alpha(false);
        Resizer::new().resize(&source, &mut scaled, &options).unwrap();
        let (left, top) = ((width as usize - 224).div_ceil(2), 16);
        let in_two: Vec<u8> = (0..224)
            .flat_map(|y| {
                let start = ((top + y) * width as usize + left) * 3;
                scaled.buffer()[start..start + 224 * 3].to_vec()
            })
            .collect();
        let largest = at_once.iter().zip(&in_two).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(largest <= 1, "{largest}");
    }

    #[test]
    fn settings_that_fit_no_picture_are_refused() {
        let default = Preprocessing::default();
        assert!(default.check().is_ok());
        assert!(Preprocessing { crop: 0, ..default }.check().is_err());
        assert!(Preprocessing { resize: 10, ..default }.check().is_err());
        assert!(Preprocessing { scale: [0.0, 1.0, 1.0], ..default }.check().is_err());
    }
}
