//! The colour of one pixel of the ground, and of one pixel of an object.

use crate::{
    hash::{Draw, smooth},
    plan::{District, Object, Roof, What},
};

pub(crate) type Rgb = [f32; 3];

/// Where the light comes from; shadows fall the other way, to the upper right.
pub(crate) const SHADOW: (f32, f32) = (0.78, -0.62);

/// Lawn, dry grass and soil, in patches of many sizes, and the streets of the district.
pub(crate) fn ground(seed: u64, district: &District, x: f32, y: f32) -> Rgb {
    let grain = 15.0 * smooth(seed, 20, x, y, 210.0)
        + 10.0 * smooth(seed, 21, x, y, 48.0)
        + 8.0 * smooth(seed, 22, x, y, 9.0);
    let dry = (0.4 + 1.4 * smooth(seed, 23, x, y, 600.0)).clamp(0.0, 1.0);
    let lawn = [86.0, 104.0, 66.0];
    let soil = [142.0, 124.0, 94.0];
    let ground =
        [0, 1, 2].map(|band| lawn[band] + (soil[band] - lawn[band]) * dry + grain * [1.0, 1.0, 0.8][band]);
    street(district, x, y).unwrap_or(ground)
}

pub(crate) fn street(district: &District, x: f32, y: f32) -> Option<Rgb> {
    let (c, s) = district.turn;
    let (dx, dy) = (x - district.centre.0, y - district.centre.1);
    let u = (c * dx + s * dy).rem_euclid(district.pitch.0);
    let v = (c * dy - s * dx).rem_euclid(district.pitch.1);
    let road = district.road;
    let grey = |tone: f32| Some([tone, tone, tone * 0.98]);
    if u < road || v < road {
        let along = if u < road { (u, v) } else { (v, u) };
        let marked = (along.0 - road / 2.0).abs() < 1.0 && along.1 % 40.0 < 18.0 && along.1 > road;
        return grey(if marked { 205.0 } else { district.road_tone });
    }
    // A pavement, in the grey of many roofs.
    if u < road + 5.0 || v < road + 5.0 {
        return grey(164.0);
    }
    None
}

/// How an object changes what is under it, at a place in its own frame.
pub(crate) fn object(object: &Object, u: f32, v: f32) -> Option<Rgb> {
    let footprint = &object.footprint;
    if !footprint.holds(u, v) {
        return None;
    }
    let grey = |tone: f32| [tone, tone, tone * 0.98];
    let texture = |scale: f32| smooth(object.seed, 30, u + 500.0, v + 500.0, scale);
    Some(match object.what {
        What::Building { roof, colour, .. } => roof_pixel(object, roof, colour, u, v),
        What::Parking { tone } => parking(object, tone, u, v),
        What::Field { colour, row } => {
            colour.map(|value| value + 10.0 * (u / row * 3.0).sin() + 8.0 * texture(30.0))
        }
        What::Soil => [168.0, 146.0, 114.0].map(|value| value + 12.0 * texture(12.0)),
        What::Court { colour } => {
            let (du, dv) = (footprint.half_width * 0.75 - u.abs(), footprint.half_height * 0.75 - v.abs());
            let line =
                (du.abs() < 0.8 && dv > 0.0) || (dv.abs() < 0.8 && du > 0.0) || (u.abs() < 0.8 && dv > 0.0);
            if line { [220.0; 3] } else { colour }
        }
        What::Pool => [86.0, 158.0, 186.0].map(|value| value + 10.0 * texture(4.0)),
        What::Drive { tone } => grey(tone),
        What::Box { colour } => {
            let rib = if (u * 1.4).rem_euclid(3.0) < 1.0 { 0.9 } else { 1.0 };
            colour.map(|value| value * rib)
        }
        What::Tree { tone } => return crown(object, tone, u, v),
    })
}

fn roof_pixel(object: &Object, roof: Roof, colour: Rgb, u: f32, v: f32) -> Rgb {
    let (w, h) = (object.footprint.half_width, object.footprint.half_height);
    let mut draw = Draw::at(object.seed, 31, 0, 0);
    let (box_u, box_v) = (draw.between(-0.6, 0.4) * w, draw.between(-0.6, 0.4) * h);
    let has_box = draw.chance(0.6);
    // The light on a face that leans to one side of the house.
    let (c, s) = object.turn;
    let lit = |du: f32, dv: f32| {
        let (x, y) = (c * du - s * dv, s * du + c * dv);
        1.0 - 0.24 * (x * SHADOW.0 + y * SHADOW.1)
    };
    let shade = match roof {
        Roof::Flat => {
            let edge = (w - u.abs()).min(h - v.abs());
            if edge < 1.6 { 0.8 } else { 1.0 + 0.05 * (u * 0.13).sin() * (v * 0.11).cos() }
        }
        Roof::Gable if w >= h => lit(0.0, v.signum()) * (1.0 + 0.04 * (v * 2.1).sin()),
        Roof::Gable => lit(u.signum(), 0.0) * (1.0 + 0.04 * (u * 2.1).sin()),
        Roof::Hip if w - u.abs() < h - v.abs() => lit(u.signum(), 0.0),
        Roof::Hip => lit(0.0, v.signum()),
    };
    let on_box = has_box && (0.0..7.0).contains(&(u - box_u)) && (0.0..5.0).contains(&(v - box_v));
    match (on_box, roof) {
        (true, Roof::Flat) => [188.0; 3],
        // A skylight or panels.
        (true, _) => [52.0, 58.0, 78.0],
        _ => colour.map(|value| value * shade + 6.0 * smooth(object.seed, 33, u + 500.0, v + 500.0, 5.0)),
    }
}

/// Rows of bays, some with a car.
fn parking(object: &Object, tone: f32, u: f32, v: f32) -> Rgb {
    let (w, h) = (object.footprint.half_width, object.footprint.half_height);
    let (across, along) = (u + w, v + h);
    let (in_bay, in_lane) = (across - (across / 8.5).floor() * 8.5, along - (along / 34.0).floor() * 34.0);
    if in_bay < 1.0 && in_lane < 15.0 {
        return [212.0; 3];
    }
    if let Some(mut draw) = car(object, u, v) {
        let base = draw.between(25.0, 235.0);
        let window = (4.0..6.0).contains(&in_lane) || (10.0..11.5).contains(&in_lane);
        let tint = [draw.between(-18.0, 18.0), draw.between(-18.0, 18.0), draw.between(-18.0, 18.0)];
        return if window { [42.0, 46.0, 52.0] } else { tint.map(|tint| base + tint) };
    }
    [tone, tone, tone * 0.98]
}

/// The random numbers of a car that covers a place of a parking lot.
pub(crate) fn car(object: &Object, u: f32, v: f32) -> Option<Draw> {
    let (u, v) = (u + object.footprint.half_width, v + object.footprint.half_height);
    let (bay, lane) = ((u / 8.5).floor(), (v / 34.0).floor());
    let (in_bay, in_lane) = (u - bay * 8.5, v - lane * 34.0);
    let mut draw = Draw::at(object.seed, 32, bay as i64, lane as i64);
    let is_there = draw.chance(0.45) && (2.0..7.5).contains(&in_bay) && (1.0..14.0).contains(&in_lane);
    is_there.then_some(draw)
}

/// A crown with a ragged edge, lit from one side.
fn crown(object: &Object, tone: f32, u: f32, v: f32) -> Option<Rgb> {
    let radius = object.footprint.half_width;
    let ragged = 0.82 + 0.18 * smooth(object.seed, 34, u + 500.0, v + 500.0, radius * 0.5);
    let distance = (u * u + v * v).sqrt() / radius;
    if distance > ragged {
        return None;
    }
    let light = 1.0 - 0.3 * (u * SHADOW.0 + v * SHADOW.1) / radius;
    let lumps = 1.0 + 0.2 * smooth(object.seed, 35, u + 500.0, v + 500.0, 3.0);
    Some([58.0, 84.0, 46.0].map(|value| value * tone * light * lumps))
}

/// How far an object's shadow reaches; flat things have none.
pub(crate) fn height(object: &Object) -> f32 {
    match object.what {
        What::Building { height, .. } => height,
        What::Box { .. } => 5.0,
        What::Tree { .. } => object.footprint.half_width * 0.7,
        _ => 0.0,
    }
}
