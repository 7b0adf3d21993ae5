//! Polygons as well-known binary, ISO and little-endian.

use crate::feature::closed;

const LITTLE_ENDIAN: u8 = 1;
const POLYGON: u32 = 3;

/// The rings of a feature that was checked, so that there are not too many to count.
pub(crate) fn polygon(rings: &[Vec<[f64; 2]>], out: &mut Vec<u8>) {
    out.push(LITTLE_ENDIAN);
    out.extend(POLYGON.to_le_bytes());
    out.extend((rings.len() as u32).to_le_bytes());
    for ring in rings {
        out.extend((ring.len() as u32 + 1).to_le_bytes());
        out.extend(closed(ring).flatten().flat_map(|value| value.to_le_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_as_the_standard_has_them() {
        let mut got = Vec::new();
        let rings = [vec![[1.0, 2.0], [3.0, 2.0], [3.0, -4.5]]];
        polygon(&rings, &mut got);
        let head = "01 03000000 01000000 04000000";
        let ring = "000000000000f03f 0000000000000040 0000000000000840 0000000000000040 \
                    0000000000000840 00000000000012c0 000000000000f03f 0000000000000040";
        let wanted = format!("{head}{ring}").replace(' ', "");
        assert_eq!(got.iter().map(|byte| format!("{byte:02x}")).collect::<String>(), wanted);
    }
}
