//! GeoJSON as RFC 7946 has it: longitude and latitude, one feature a line.

use std::io::{BufWriter, Write};

use crate::{
    error::Result,
    feature::{AreaUnit, Bounds, Feature, closed},
};

/// A tenth of a millimetre on the ground: a hundredth of the smallest pixel that is flown. Corners
/// move by so little that rings stay as valid as they were, and a position takes 26 bytes.
const DEGREE_DECIMALS: usize = 9;
/// Scores are means of 255 steps.
const SCORE_DECIMALS: usize = 6;
/// A square centimetre.
const AREA_DECIMALS: usize = 4;

pub struct GeoJson<W: Write> {
    out: BufWriter<W>,
    area: AreaUnit,
    /// Around all features so far.
    bounds: Option<Bounds>,
    line: Vec<u8>,
}

impl<W: Write> GeoJson<W> {
    pub fn new(out: W, area: AreaUnit) -> Result<Self> {
        let mut out = BufWriter::with_capacity(1 << 16, out);
        out.write_all(b"{\"type\":\"FeatureCollection\",\"features\":[")?;
        Ok(Self { out, area, bounds: None, line: Vec::new() })
    }

    pub fn add(&mut self, feature: &Feature) -> Result<()> {
        let bounds = feature.check(true)?;
        self.line.clear();
        self.line.extend_from_slice(if self.bounds.is_none() { b"\n" } else { b",\n" });
        self.describe(feature)?;
        self.out.write_all(&self.line)?;
        self.bounds = Some(self.bounds.map_or(bounds, |so_far| so_far.around(bounds)));
        Ok(())
    }

    /// The end of the file has what is known only then: its bounds.
    pub fn finish(mut self) -> Result<()> {
        self.line.clear();
        self.line.extend_from_slice(b"\n]");
        if let Some(bounds) = self.bounds {
            self.line.extend_from_slice(b",\"bbox\":[");
            numbers(&mut self.line, &bounds.corners())?;
            self.line.push(b']');
        }
        self.line.extend_from_slice(b"}\n");
        self.out.write_all(&self.line)?;
        Ok(self.out.flush()?)
    }

    fn describe(&mut self, feature: &Feature) -> Result<()> {
        let Feature { class_id, class_name, score, area, rings } = feature;
        let line = &mut self.line;
        write!(line, "{{\"type\":\"Feature\",\"properties\":{{\"class_id\":{class_id},\"class_name\":")?;
        serde_json::to_writer(&mut *line, class_name.as_ref()).map_err(std::io::Error::from)?;
        line.extend_from_slice(b",\"score\":");
        number(line, *score, SCORE_DECIMALS)?;
        write!(line, ",\"{}\":", self.area.column())?;
        number(line, *area, AREA_DECIMALS)?;
        line.extend_from_slice(b"},\"geometry\":{\"type\":\"Polygon\",\"coordinates\":[");
        for (i, ring) in rings.iter().enumerate() {
            line.extend_from_slice(if i == 0 { b"[" } else { b",[" });
            for (i, position) in closed(ring).enumerate() {
                line.extend_from_slice(if i == 0 { b"[" } else { b",[" });
                numbers(line, position)?;
                line.push(b']');
            }
            line.push(b']');
        }
        line.extend_from_slice(b"]}}");
        Ok(())
    }
}

fn numbers(line: &mut Vec<u8>, values: &[f64]) -> std::io::Result<()> {
    for (i, &value) in values.iter().enumerate() {
        if i > 0 {
            line.push(b',');
        }
        number(line, value, DEGREE_DECIMALS)?;
    }
    Ok(())
}

/// Without zeros at the end, and without a negative zero.
fn number(line: &mut Vec<u8>, value: f64, decimals: usize) -> std::io::Result<()> {
    let from = line.len();
    write!(line, "{value:.decimals$}")?;
    while line.last() == Some(&b'0') {
        line.pop();
    }
    if line.last() == Some(&b'.') {
        line.pop();
    }
    if &line[from..] == b"-0" {
        line.remove(from);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_short_as_they_can_be() {
        for (value, decimals, wanted) in [
            (13.4, 9, "13.4"),
            (-0.000_000_000_1, 9, "0"),
            (100.0, 9, "100"),
            (0.0, 9, "0"),
            (-179.123_456_789_4, 9, "-179.123456789"),
            (-179.999_999_999_99, 9, "-180"),
            (0.1 + 0.2, 6, "0.3"),
            (1e15 + 0.5, 4, "1000000000000000.5"),
        ] {
            let mut line = Vec::new();
            number(&mut line, value, decimals).unwrap();
            assert_eq!(String::from_utf8(line).unwrap(), wanted);
        }
    }
}
