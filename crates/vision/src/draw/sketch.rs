//! Paper and brush: smooth shapes with an inked outline, in a space of 300 x 300.

use tiny_skia::{
    Color, FillRule, GradientStop, LinearGradient, Mask, Paint, Path, PathBuilder, Pixmap, Point,
    Rect, Shader, SpreadMode, Stroke, Transform,
};

/// Width and height of the space that pictures are drawn in.
pub const SPACE: f32 = 300.0;

pub type Xy = (f32, f32);

/// Colours are `0xrrggbb`.
pub fn mix(a: u32, b: u32, part: f32) -> u32 {
    let channel = |shift: u32| {
        let (a, b) = ((a >> shift & 0xff) as f32, (b >> shift & 0xff) as f32);
        ((a + (b - a) * part).round().clamp(0.0, 255.0) as u32) << shift
    };
    channel(16) | channel(8) | channel(0)
}

pub fn darker(colour: u32, part: f32) -> u32 {
    mix(colour, 0x1d1210, part)
}

pub fn lighter(colour: u32, part: f32) -> u32 {
    mix(colour, 0xfffdf6, part)
}

fn rgba(colour: u32, alpha: f32) -> Color {
    let [_, red, green, blue] = colour.to_be_bytes();
    Color::from_rgba8(red, green, blue, (alpha.clamp(0.0, 1.0) * 255.0).round() as u8)
}

/// A smooth closed shape through `points`.
pub fn blob(points: &[Xy]) -> Option<Path> {
    let mut builder = PathBuilder::new();
    let count = points.len();
    let at = |index: usize| points.get(index % count).copied().unwrap_or_default();
    if count < 3 {
        return None;
    }
    let (x, y) = at(0);
    builder.move_to(x, y);
    for index in 0..count {
        let [before, from, to, after] =
            [at(index + count - 1), at(index), at(index + 1), at(index + 2)];
        builder.cubic_to(
            from.0 + (to.0 - before.0) / 6.0,
            from.1 + (to.1 - before.1) / 6.0,
            to.0 - (after.0 - from.0) / 6.0,
            to.1 - (after.1 - from.1) / 6.0,
            to.0,
            to.1,
        );
    }
    builder.close();
    builder.finish()
}

/// A smooth open line through `points`.
pub fn curve(points: &[Xy]) -> Option<Path> {
    let mut builder = PathBuilder::new();
    let last = points.len().checked_sub(1)?;
    let at = |index: usize| points.get(index.min(last)).copied().unwrap_or_default();
    let (x, y) = at(0);
    builder.move_to(x, y);
    for index in 0..last {
        let [before, from, to, after] =
            [at(index.saturating_sub(1)), at(index), at(index + 1), at(index + 2)];
        builder.cubic_to(
            from.0 + (to.0 - before.0) / 6.0,
            from.1 + (to.1 - before.1) / 6.0,
            to.0 - (after.0 - from.0) / 6.0,
            to.1 - (after.1 - from.1) / 6.0,
            to.0,
            to.1,
        );
    }
    builder.finish()
}

/// A shape symmetric about x = 0: `half` goes down its right side, from the middle to the middle.
pub fn symmetric(half: &[Xy]) -> Vec<Xy> {
    let left = half.iter().rev().filter(|(x, _)| *x > 0.5).map(|(x, y)| (-x, *y));
    half.iter().copied().chain(left).collect()
}

pub fn mirrored(points: &[Xy]) -> Vec<Xy> {
    points.iter().map(|(x, y)| (-x, *y)).collect()
}

pub fn oval(x: f32, y: f32, across: f32, down: f32) -> Option<Path> {
    PathBuilder::from_oval(Rect::from_ltrb(x - across, y - down, x + across, y + down)?)
}

/// Several paths as one.
pub fn joined(paths: impl Iterator<Item = Path>) -> Option<Path> {
    let mut builder = PathBuilder::new();
    for path in paths {
        builder.push_path(&path);
    }
    builder.finish()
}

/// The outline through `points` with tufts of about `size`: fur instead of skin.
pub fn tufted(points: &[Xy], size: f32, depth: f32) -> Option<Path> {
    let outline = sampled(points);
    let length: f32 = edges(&outline).map(|(a, b)| (b.0 - a.0).hypot(b.1 - a.1)).sum();
    let tufts = (length / size).round().max(3.0);
    let step = length / tufts;
    let mut builder = PathBuilder::new();
    let first = *outline.first()?;
    builder.move_to(first.0, first.1);
    let mut from = first;
    let mut walked = 0.0;
    for (a, b) in edges(&outline) {
        walked += (b.0 - a.0).hypot(b.1 - a.1);
        if walked < step {
            continue;
        }
        walked -= step;
        bulge(&mut builder, from, b, depth);
        from = b;
    }
    bulge(&mut builder, from, first, depth);
    builder.close();
    builder.finish()
}

/// Outlines run clockwise on the screen, so that outside is to the left of the way.
fn bulge(builder: &mut PathBuilder, from: Xy, to: Xy, depth: f32) {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let middle = ((from.0 + to.0) / 2.0 + dy * depth, (from.1 + to.1) / 2.0 - dx * depth);
    builder.quad_to(middle.0, middle.1, to.0, to.1);
}

fn edges(points: &[Xy]) -> impl Iterator<Item = (Xy, Xy)> {
    points.iter().copied().zip(points.iter().copied().cycle().skip(1))
}

/// Points close together along the smooth shape through `points`.
fn sampled(points: &[Xy]) -> Vec<Xy> {
    const PARTS: usize = 24;
    let count = points.len();
    let at = |index: usize| points.get(index % count.max(1)).copied().unwrap_or_default();
    let mut outline = Vec::with_capacity(count * PARTS);
    for index in 0..count {
        let p = [at(index + count - 1), at(index), at(index + 1), at(index + 2)];
        for part in 0..PARTS {
            let t = part as f32 / PARTS as f32;
            let axis = |p: [f32; 4]| {
                let [a, b, c, d] = p;
                0.5 * (2.0 * b
                    + (c - a) * t
                    + (2.0 * a - 5.0 * b + 4.0 * c - d) * t * t
                    + (3.0 * b - a - 3.0 * c + d) * t * t * t)
            };
            outline.push((axis(p.map(|p| p.0)), axis(p.map(|p| p.1))));
        }
    }
    outline
}

/// The paper. Everything is drawn through `at`, which maps the drawing's space to it.
pub struct Sketch {
    pixmap: Pixmap,
    base: Transform,
    pub at: Transform,
    /// Colour and width of outlines.
    pub ink: u32,
    pub ink_width: f32,
}

impl Sketch {
    pub fn new(side: u32) -> Option<Self> {
        let pixmap = Pixmap::new(side, side)?;
        let scale = side as f32 / SPACE;
        Some(Self {
            pixmap,
            base: Transform::from_scale(scale, scale),
            at: Transform::identity(),
            ink: 0x3b2a22,
            ink_width: 2.6,
        })
    }

    pub fn fill(&mut self, path: Option<Path>, colour: u32) {
        self.paint(path.as_ref(), colour, 1.0, None);
    }

    pub fn glaze(&mut self, path: Option<Path>, colour: u32, alpha: f32) {
        self.paint(path.as_ref(), colour, alpha, None);
    }

    /// Fills and outlines.
    pub fn shape(&mut self, path: Option<Path>, colour: u32) {
        self.paint(path.as_ref(), colour, 1.0, None);
        self.outline(path);
    }

    pub fn outline(&mut self, path: Option<Path>) {
        self.line(path, self.ink_width, self.ink);
    }

    pub fn line(&mut self, path: Option<Path>, width: f32, colour: u32) {
        self.line_within(path, width, colour, 1.0, None);
    }

    /// Draws only inside `clip`.
    pub fn glaze_within(&mut self, path: Option<Path>, colour: u32, alpha: f32, clip: &Clip) {
        self.paint(path.as_ref(), colour, alpha, clip.mask.as_ref());
    }

    pub fn line_within(
        &mut self,
        path: Option<Path>,
        width: f32,
        colour: u32,
        alpha: f32,
        clip: Option<&Clip>,
    ) {
        let stroke = Stroke {
            width,
            line_cap: tiny_skia::LineCap::Round,
            line_join: tiny_skia::LineJoin::Round,
            ..Stroke::default()
        };
        if let Some(path) = path {
            let transform = self.transform();
            let mask = clip.and_then(|clip| clip.mask.as_ref());
            let paint = solid(colour, alpha);
            self.pixmap.stroke_path(&path, &paint, &stroke, transform, mask);
        }
    }

    /// Fills with one colour above and another below.
    pub fn gradient(
        &mut self,
        path: Option<Path>,
        (top, bottom): (u32, u32),
        (from, to): (f32, f32),
    ) {
        let stops =
            vec![GradientStop::new(0.0, rgba(top, 1.0)), GradientStop::new(1.0, rgba(bottom, 1.0))];
        let shader = LinearGradient::new(
            Point::from_xy(0.0, from),
            Point::from_xy(0.0, to),
            stops,
            SpreadMode::Pad,
            Transform::identity(),
        );
        let paint = Paint {
            shader: shader.unwrap_or(Shader::SolidColor(rgba(top, 1.0))),
            ..Paint::default()
        };
        if let Some(path) = path {
            let transform = self.transform();
            self.pixmap.fill_path(&path, &paint, FillRule::Winding, transform, None);
        }
    }

    /// The inside of a shape, to draw in.
    pub fn clip(&self, path: Option<&Path>) -> Clip {
        let mask = path.and_then(|path| {
            let mut mask = Mask::new(self.pixmap.width(), self.pixmap.height())?;
            mask.fill_path(path, FillRule::Winding, true, self.transform());
            Some(mask)
        });
        Clip { mask }
    }

    /// The pixels as RGB, row by row.
    pub fn into_rgb(self) -> Vec<u8> {
        self.pixmap.pixels().iter().flat_map(|p| [p.red(), p.green(), p.blue()]).collect()
    }

    fn paint(&mut self, path: Option<&Path>, colour: u32, alpha: f32, mask: Option<&Mask>) {
        if let Some(path) = path {
            let transform = self.transform();
            let paint = solid(colour, alpha);
            self.pixmap.fill_path(path, &paint, FillRule::Winding, transform, mask);
        }
    }

    fn transform(&self) -> Transform {
        self.base.pre_concat(self.at)
    }
}

/// Where drawing is let through.
pub struct Clip {
    mask: Option<Mask>,
}

fn solid(colour: u32, alpha: f32) -> Paint<'static> {
    Paint { shader: Shader::SolidColor(rgba(colour, alpha)), anti_alias: true, ..Paint::default() }
}
