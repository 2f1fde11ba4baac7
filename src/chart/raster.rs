//! From a drawing to the dots of a PNG.

use std::sync::LazyLock;

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree};

use super::drawing::{Drawing, WIDTH};
use super::letters::{FAMILY, FONTS};
use super::palette::{PALETTE, rgb};
use super::{ChartError, Picture};

/// Dots per CSS pixel.
const DENSITY: u32 = 2;

/// The size of a picture in CSS pixels.
pub(super) fn size(height: f64) -> (u32, u32) {
    (WIDTH as u32, height.ceil() as u32)
}

/// Draws a picture; its height is rounded up to whole pixels.
pub(super) fn picture(drawing: &Drawing, height: f64, alt: String) -> Result<Picture, ChartError> {
    let (width, height) = size(height);
    let tree = tree(&drawing.svg(f64::from(height)))?;
    let (across, down) = (DENSITY * width, DENSITY * height);
    let mut canvas = Pixmap::new(across, down).ok_or(ChartError::Canvas { width: across, height: down })?;
    let scale = Transform::from_scale(DENSITY as f32, DENSITY as f32);
    resvg::render(&tree, scale, &mut canvas.as_mut());
    let png = encode(canvas.data(), across, down).map_err(ChartError::Encoding)?;
    Ok(Picture { png, width, height, alt })
}

/// Reads a drawing with the built-in fonts alone: the machine's own would change the picture.
pub(super) fn tree(svg: &str) -> Result<Tree, ChartError> {
    let options = Options { fontdb: FONTS.clone(), font_family: FAMILY.to_owned(), ..Options::default() };
    Tree::from_str(svg, &options).map_err(ChartError::Drawing)
}

/// Writes opaque dots (red, green, blue, opacity) as a PNG of four bits per dot.
fn encode(dots: &[u8], width: u32, height: u32) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Four);
    encoder.set_palette(PALETTE.map(rgb).concat());
    encoder.set_compression(png::Compression::Balanced);
    encoder.set_filter(png::Filter::NoFilter);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&packed(dots))?;
    writer.finish()?;
    Ok(bytes)
}

/// Two dots a byte, each as its place in the palette. Lines have an even number of dots.
fn packed(dots: &[u8]) -> Vec<u8> {
    let place = |dot: &[u8]| NEAREST[cell([dot[0], dot[1], dot[2]])];
    dots.chunks_exact(8).map(|pair| place(&pair[..4]) << 4 | place(&pair[4..])).collect()
}

/// The nearest colour of the palette for each cell of 8 × 8 × 8 colours: a look-up where a search per dot is too slow.
static NEAREST: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let palette = PALETTE.map(rgb);
    let nearest = |colour: [u8; 3]| {
        let apart = |other: &[u8; 3]| -> u32 { (0..3).map(|i| u32::from(other[i].abs_diff(colour[i])).pow(2)).sum() };
        (0u8..).zip(&palette).min_by_key(|(_, other)| apart(other)).map_or(0, |(at, _)| at)
    };
    (0..CELLS.pow(3))
        .map(|cell| nearest([cell / (CELLS * CELLS), cell / CELLS % CELLS, cell % CELLS].map(centre)))
        .collect()
});

/// Cells along each of red, green and blue.
const CELLS: usize = 32;

fn cell(colour: [u8; 3]) -> usize {
    colour.into_iter().fold(0, |cell, part| CELLS * cell + usize::from(part / 8))
}

fn centre(along: usize) -> u8 {
    u8::try_from(8 * along + 4).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_of_the_palette_stay_what_they_are() {
        for (at, colour) in PALETTE.into_iter().enumerate() {
            assert_eq!(usize::from(NEAREST[cell(rgb(colour))]), at, "{colour}");
        }
    }

    #[test]
    fn blends_become_a_neighbour() {
        let (white, ink, grey) = (0, 1, 9);
        let dots: Vec<u8> =
            [[255, 255, 255, 255], [250, 250, 252, 255], [14, 20, 38, 255], [125, 133, 150, 255]].concat();
        assert_eq!(packed(&dots), [white << 4 | white, ink << 4 | grey]);
    }
}
