//! GDAL's affine transforms: `x = t[0] + col t[1] + row t[2]`, `y = t[3] + col t[4] + row t[5]`.

pub(crate) fn apply(t: &[f64; 6], [col, row]: [f64; 2]) -> [f64; 2] {
    [t[0] + col * t[1] + row * t[2], t[3] + col * t[4] + row * t[5]]
}

pub(crate) fn invert(t: &[f64; 6]) -> Result<[f64; 6], String> {
    let determinant = t[1] * t[5] - t[2] * t[4];
    if determinant == 0.0 || !determinant.is_finite() {
        return Err("the scene's transform can't be inverted".into());
    }
    let [a, b, c, d] = [t[5] / determinant, -t[2] / determinant, -t[4] / determinant, t[1] / determinant];
    Ok([-(t[0] * a + t[3] * b), a, b, -(t[0] * c + t[3] * d), c, d])
}
