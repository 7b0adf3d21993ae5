//! The event file that TensorBoard reads: records of protocol buffers, written by hand since there
//! are but numbers and pictures with names.

/// A number of one epoch.
pub(crate) struct Scalar {
    pub(crate) tag: String,
    pub(crate) wall_time: f64,
    pub(crate) step: i64,
    pub(crate) value: f32,
}

/// A PNG of one epoch.
pub(crate) struct Picture<'a> {
    pub(crate) tag: &'a str,
    pub(crate) wall_time: f64,
    pub(crate) step: i64,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) png: &'a [u8],
}

pub(crate) fn event_file(begin: f64, scalars: &[Scalar]) -> Vec<u8> {
    let mut file = first_record(begin);
    for Scalar { tag, wall_time, step, value } in scalars {
        let value = [&[field(2, 5)], value.to_le_bytes().as_slice()].concat();
        file.extend(summary(tag, *wall_time, *step, &value));
    }
    file
}

pub(crate) fn picture_file(picture: &Picture<'_>) -> Vec<u8> {
    const RGB: u32 = 3;
    let Picture { tag, wall_time, step, width, height, png } = *picture;
    let number = |field_number, value: u32| [vec![field(field_number, 0)], varint(value.into())].concat();
    let image = [number(1, height), number(2, width), number(3, RGB), bytes(4, png)].concat();
    [first_record(wall_time), summary(tag, wall_time, step, &bytes(4, &image))].concat()
}

fn first_record(begin: f64) -> Vec<u8> {
    record(&[double(1, begin), bytes(3, b"brain.Event:2")].concat())
}

/// `value`: its field of the summary's value.
fn summary(tag: &str, wall_time: f64, step: i64, value: &[u8]) -> Vec<u8> {
    let summary = bytes(1, &[&bytes(1, tag.as_bytes()), value].concat());
    let step = [vec![field(2, 0)], varint(step as u64)].concat();
    record(&[double(1, wall_time), step, bytes(5, &summary)].concat())
}

/// Length and data, each with its check sum.
fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length, masked(&length).as_slice(), data, &masked(data)].concat()
}

/// TensorFlow's: a record that holds check sums does not look like one.
fn masked(data: &[u8]) -> [u8; 4] {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

const fn field(number: u8, wire_type: u8) -> u8 {
    number << 3 | wire_type
}

fn double(number: u8, value: f64) -> Vec<u8> {
    [&[field(number, 1)], value.to_le_bytes().as_slice()].concat()
}

fn bytes(number: u8, value: &[u8]) -> Vec<u8> {
    [vec![field(number, 2)], varint(value.len() as u64), value.to_vec()].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first record of every file that TensorBoard's own writer makes, but for the time.
    #[test]
    fn a_file_begins_as_tensorboards_own_do() {
        let file = event_file(1.0, &[]);
        assert_eq!(file[..8], 24_u64.to_le_bytes());
        assert_eq!(hex::encode(&file[8..12]), "a37f4b22");
        assert_eq!(hex::encode(&file[12..36]), "09000000000000f03f1a0d627261696e2e4576656e743a32");
        assert_eq!(file.len(), 40);
    }

    #[test]
    fn scalars_are_summaries_of_simple_values() {
        let scalar = Scalar { tag: "loss".into(), wall_time: 2.0, step: 300, value: 0.5 };
        let file = event_file(1.0, &[scalar]);
        let wanted =
            "090000000000000040".to_owned() + "10ac02" + "2a0d" + "0a0b" + "0a046c6f7373" + "150000003f";
        assert_eq!(hex::encode(&file[52..file.len() - 4]), wanted);
    }

    /// `tf.compat.v1.Summary.Value(tag="v", image=Summary.Image(height=2, width=300, colorspace=3,
    /// encoded_image_string=b"png"))`, by the numbers of its fields.
    #[test]
    fn pictures_are_summaries_of_encoded_images() {
        let picture = Picture { tag: "v", wall_time: 2.0, step: 1, width: 300, height: 2, png: b"png" };
        let file = picture_file(&picture);
        let wanted = "090000000000000040".to_owned()
            + "1001"
            + "2a13"
            + "0a11"
            + "0a0176"
            + "220c"
            + "0802"
            + "10ac02"
            + "1803"
            + "2203706e67";
        assert_eq!(hex::encode(&file[52..file.len() - 4]), wanted);
    }
}
