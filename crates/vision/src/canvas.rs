//! A sheet to draw on: shapes, text in the carried font, pictures; PNG at the end.
//!
//! Coordinates are pixels of an unscaled sheet; `scale` makes every one of them several real
//! pixels, so that plots are sharp on dense screens.

use tiny_skia::{
    Color, FillRule, IntSize, Paint, Path, PathBuilder, Pixmap, PixmapPaint, Rect, Stroke,
    Transform,
};
use ttf_parser::{Face, OutlineBuilder};

/// Width and height a sheet may have in real pixels: 400 MB as RGBA is a mistake.
const SIDE_MAX: f32 = 10_000.0;

const REGULAR: &[u8] = include_bytes!("../assets/fonts/Roboto-Regular-latin.ttf");
const BOLD: &[u8] = include_bytes!("../assets/fonts/Roboto-Bold-latin.ttf");

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("a sheet of {width} x {height} cannot be made")]
    Size { width: f32, height: f32 },
    #[error("the carried font is not readable")]
    Font(#[from] ttf_parser::FaceParsingError),
    #[error("the PNG cannot be encoded")]
    Png(#[from] png::EncodingError),
}

/// `0xrrggbb`, opaque.
pub fn colour(hex: u32) -> Color {
    let [_, red, green, blue] = hex.to_be_bytes();
    Color::from_rgba8(red, green, blue, 255)
}

/// Where a text's anchor lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    Left,
    Middle,
    Right,
}

/// How a text looks.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    pub bold: bool,
    pub size: f32,
    pub colour: Color,
    pub align: Align,
    /// Degrees clockwise around the anchor.
    pub turn: f32,
}

impl Style {
    pub fn new(size: f32, colour: Color) -> Self {
        Self { bold: false, size, colour, align: Align::Left, turn: 0.0 }
    }

    pub fn bold(self) -> Self {
        Self { bold: true, ..self }
    }

    pub fn align(self, align: Align) -> Self {
        Self { align, ..self }
    }

    pub fn turned(self, turn: f32) -> Self {
        Self { turn, ..self }
    }
}

pub struct Canvas {
    pixmap: Pixmap,
    transform: Transform,
    regular: Face<'static>,
    bold: Face<'static>,
}

impl Canvas {
    /// A sheet of `width` x `height`, filled with `background`.
    pub fn new(width: f32, height: f32, scale: f32, background: Color) -> Result<Self, Error> {
        let error = || Error::Size { width, height };
        let real = |length: f32| {
            let pixels = (length * scale).ceil();
            (1.0..=SIDE_MAX).contains(&pixels).then_some(pixels as u32)
        };
        let (columns, rows) = real(width).zip(real(height)).ok_or_else(error)?;
        let mut pixmap = Pixmap::new(columns, rows).ok_or_else(error)?;
        pixmap.fill(background);
        Ok(Self {
            pixmap,
            transform: Transform::from_scale(scale, scale),
            regular: Face::parse(REGULAR, 0)?,
            bold: Face::parse(BOLD, 0)?,
        })
    }

    pub fn rectangle(&mut self, x: f32, y: f32, width: f32, height: f32, colour: Color) {
        if let Some(rect) = Rect::from_xywh(x, y, width, height) {
            self.pixmap.fill_rect(rect, &paint(colour), self.transform, None);
        }
    }

    /// A rectangle with round corners.
    pub fn rounded(&mut self, x: f32, y: f32, width: f32, height: f32, radius: f32, colour: Color) {
        if let Some(path) = rounded_path(x, y, width, height, radius) {
            self.fill(&path, colour);
        }
    }

    pub fn circle(&mut self, x: f32, y: f32, radius: f32, colour: Color) {
        if let Some(path) = PathBuilder::from_circle(x, y, radius) {
            self.fill(&path, colour);
        }
    }

    /// A line through `points`.
    pub fn line(&mut self, points: &[(f32, f32)], width: f32, colour: Color) {
        let mut builder = PathBuilder::new();
        for (index, (x, y)) in points.iter().enumerate() {
            if index == 0 {
                builder.move_to(*x, *y);
            } else {
                builder.line_to(*x, *y);
            }
        }
        let stroke = Stroke {
            width,
            line_cap: tiny_skia::LineCap::Round,
            line_join: tiny_skia::LineJoin::Round,
            ..Stroke::default()
        };
        if let Some(path) = builder.finish() {
            self.pixmap.stroke_path(&path, &paint(colour), &stroke, self.transform, None);
        }
    }

    /// Writes `text` with its baseline at `y`; gives its width.
    pub fn text(&mut self, text: &str, x: f32, y: f32, style: Style) -> f32 {
        let width = self.text_width(text, style);
        let start = match style.align {
            Align::Left => 0.0,
            Align::Middle => -width / 2.0,
            Align::Right => -width,
        };
        let face = if style.bold { &self.bold } else { &self.regular };
        let unit = style.size / f32::from(face.units_per_em());
        let mut outline = Outline { builder: PathBuilder::new(), x: start, unit };
        for character in text.chars() {
            let Some(glyph) = face.glyph_index(character).or_else(|| face.glyph_index('?')) else {
                continue;
            };
            face.outline_glyph(glyph, &mut outline);
            outline.x += unit * f32::from(face.glyph_hor_advance(glyph).unwrap_or_default());
        }
        if let Some(path) = outline.builder.finish() {
            let place = self.transform.pre_translate(x, y).pre_rotate(style.turn);
            let paint = paint(style.colour);
            self.pixmap.fill_path(&path, &paint, FillRule::Winding, place, None);
        }
        width
    }

    pub fn text_width(&self, text: &str, style: Style) -> f32 {
        let face = if style.bold { &self.bold } else { &self.regular };
        let unit = style.size / f32::from(face.units_per_em());
        let advance = |character| {
            let glyph = face.glyph_index(character).or_else(|| face.glyph_index('?'));
            glyph.and_then(|glyph| face.glyph_hor_advance(glyph)).unwrap_or_default()
        };
        text.chars().map(|character| unit * f32::from(advance(character))).sum()
    }

    /// `text`, cut off with an ellipsis where it is wider than `width`.
    pub fn fitted(&self, text: &str, width: f32, style: Style) -> String {
        if self.text_width(text, style) <= width {
            return text.to_owned();
        }
        let mut kept: Vec<char> = text.chars().collect();
        while kept.pop().is_some() {
            let shorter: String = kept.iter().collect::<String>().trim_end().to_owned() + "…";
            if self.text_width(&shorter, style) <= width {
                return shorter;
            }
        }
        String::new()
    }

    /// Puts RGB pixels, `side` x `side`, at a place; each becomes one unscaled pixel.
    pub fn picture(&mut self, rgb: &[u8], side: usize, x: f32, y: f32) {
        let (pixels, _) = rgb.as_chunks::<3>();
        let rgba: Vec<u8> = pixels.iter().flat_map(|[r, g, b]| [*r, *g, *b, 255]).collect();
        let size = IntSize::from_wh(side as u32, side as u32);
        if let Some(picture) = size.and_then(|size| Pixmap::from_vec(rgba, size)) {
            let place = self.transform.pre_translate(x, y);
            let paint = PixmapPaint::default();
            self.pixmap.draw_pixmap(0, 0, picture.as_ref(), &paint, place, None);
        }
    }

    pub fn png(self) -> Result<Vec<u8>, Error> {
        let rgb: Vec<u8> = self
            .pixmap
            .pixels()
            .iter()
            .flat_map(|pixel| [pixel.red(), pixel.green(), pixel.blue()])
            .collect();
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, self.pixmap.width(), self.pixmap.height());
        encoder.set_color(png::ColorType::Rgb);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&rgb)?;
        writer.finish()?;
        Ok(bytes)
    }

    fn fill(&mut self, path: &Path, colour: Color) {
        let paint = paint(colour);
        self.pixmap.fill_path(path, &paint, FillRule::Winding, self.transform, None);
    }
}

fn paint(colour: Color) -> Paint<'static> {
    let mut paint = Paint::default();
    paint.set_color(colour);
    paint.anti_alias = true;
    paint
}

fn rounded_path(x: f32, y: f32, width: f32, height: f32, radius: f32) -> Option<Path> {
    let (right, bottom) = (x + width, y + height);
    let mut builder = PathBuilder::new();
    builder.move_to(x + radius, y);
    builder.line_to(right - radius, y);
    builder.quad_to(right, y, right, y + radius);
    builder.line_to(right, bottom - radius);
    builder.quad_to(right, bottom, right - radius, bottom);
    builder.line_to(x + radius, bottom);
    builder.quad_to(x, bottom, x, bottom - radius);
    builder.line_to(x, y + radius);
    builder.quad_to(x, y, x + radius, y);
    builder.close();
    builder.finish()
}

/// Takes a glyph's outline, whose y axis points up, to the sheet's.
struct Outline {
    builder: PathBuilder,
    x: f32,
    unit: f32,
}

impl Outline {
    fn point(&self, x: f32, y: f32) -> (f32, f32) {
        (self.x + x * self.unit, -y * self.unit)
    }
}

impl OutlineBuilder for Outline {
    fn move_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.point(x, y);
        self.builder.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.point(x, y);
        self.builder.line_to(x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let (x1, y1) = self.point(x1, y1);
        let (x, y) = self.point(x, y);
        self.builder.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let (x1, y1) = self.point(x1, y1);
        let (x2, y2) = self.point(x2, y2);
        let (x, y) = self.point(x, y);
        self.builder.cubic_to(x1, y1, x2, y2, x, y);
    }

    fn close(&mut self) {
        self.builder.close();
    }
}
