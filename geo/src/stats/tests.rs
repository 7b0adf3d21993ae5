use rand::{Rng, SeedableRng, rngs::StdRng};

use super::*;

fn one<S: Sample>(pixels: &[S], bands: usize, counted: Counted) -> PartialStats {
    let mut stats = PartialStats::new(S::KIND, bands);
    stats.add(pixels, counted);
    stats
}

#[test]
fn a_handful_of_pixels_counted_by_hand() {
    let stats = one(&[2u8, 10, 4, 10, 4, 10, 4, 10, 5, 10, 5, 10, 7, 10, 9, 10], 2, Counted::All);
    let bands = stats.statistics().unwrap().bands;
    assert_eq!(bands[0], BandStatistics { count: 8, mean: 5.0, std: 2.0, min: 2.0, max: 9.0 });
    assert_eq!(bands[1], BandStatistics { count: 8, mean: 10.0, std: 0.0, min: 10.0, max: 10.0 });
    assert_eq!(stats.histogram(0).unwrap()[..10], [0, 0, 1, 0, 3, 2, 0, 1, 0, 1]);
}

#[test]
fn masked_pixels_do_not_count_whatever_the_type() {
    let pixels = [2i16, -4, 100, 4, 4, 5, 5, 7, 9, -30000];
    let mask = [1, 0, 0, 1, 1, 1, 1, 1, 1, 0];
    let wanted = |count, mean, std, min, max| BandStatistics { count, mean, std, min, max };
    let got = one(&pixels, 1, Counted::Pixels(&mask)).statistics().unwrap().bands[0];
    let deviations: f64 =
        [2.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0].map(|v: f64| (v - 36.0 / 7.0).powi(2)).iter().sum();
    assert!((got.std - (deviations / 7.0).sqrt()).abs() < 1e-15);
    assert_eq!(got, wanted(7, 36.0 / 7.0, got.std, 2.0, 9.0));
    let floats = pixels.map(f32::from);
    let of_floats = one(&floats, 1, Counted::Pixels(&mask)).statistics().unwrap().bands[0];
    assert!((of_floats.std - got.std).abs() < 1e-14 && (of_floats.mean - got.mean).abs() < 1e-14);
    // Two bands: the first of every pixel is missing.
    let samples = [0, 1, 0, 1, 0, 1, 0, 1, 0, 1];
    let two = one(&pixels, 2, Counted::Samples(&samples));
    assert_eq!(two.statistics(), Err(BadStats::NoValidPixel { band: 0 }));
    let mask = [0, 1, 1, 1, 1];
    let two = one(&pixels, 2, Counted::Pixels(&mask)).statistics().unwrap();
    assert_eq!((two.bands[0].count, two.bands[0].min, two.bands[1].min), (4, 4.0, -30000.0));
}

#[test]
fn however_integers_are_cut_the_result_is_the_same_to_the_bit() {
    let mut rng = StdRng::seed_from_u64(3);
    let pixels: Vec<u16> = (0..3 * 5000).map(|_| rng.random_range(200..5000)).collect();
    let mask: Vec<u8> = (0..3 * 5000).map(|_| u8::from(rng.random_range(0..5) > 0)).collect();
    let whole = one(&pixels, 3, Counted::Samples(&mask));
    for _ in 0..20 {
        let mut cuts: Vec<usize> = (0..7).map(|_| rng.random_range(0..=5000) * 3).collect();
        cuts.extend([0, 15000]);
        cuts.sort_unstable();
        let mut merged = PartialStats::new(Kind::U16, 3);
        for cut in cuts.windows(2).rev() {
            let part = cut[0]..cut[1];
            merged.merge(&one(&pixels[part.clone()], 3, Counted::Samples(&mask[part]))).unwrap();
        }
        assert_eq!(merged, whole);
        assert_eq!(
            merged.statistics().unwrap().bands[1].std.to_bits(),
            whole.statistics().unwrap().bands[1].std.to_bits()
        );
    }
}

#[test]
fn bytes_are_counted_as_other_types_are() {
    let mut rng = StdRng::seed_from_u64(4);
    for bands in 1..6 {
        let pixels: Vec<u8> = (0..bands * 1009).map(|_| rng.random()).collect();
        let mask: Vec<u8> = (0..1009).map(|_| rng.random_range(0..2)).collect();
        let wide: Vec<f64> = pixels.iter().map(|&v| f64::from(v)).collect();
        for counted in [Counted::All, Counted::Pixels(&mask)] {
            let a = one(&pixels, bands, counted).statistics().unwrap();
            let b = one(&wide, bands, counted).statistics().unwrap();
            for (a, b) in a.bands.iter().zip(&b.bands) {
                assert_eq!((a.count, a.min, a.max), (b.count, b.min, b.max));
                assert!((a.mean - b.mean).abs() < 1e-11 && (a.std - b.std).abs() < 1e-11, "{a:?} {b:?}");
            }
        }
    }
}

#[test]
fn a_small_spread_on_a_large_value_is_not_lost() {
    let values: Vec<f64> = (0..100_000).map(|i| 1e9 + f64::from(i % 2)).collect();
    let (left, right) = values.split_at(33_334);
    let mut stats = one(left, 1, Counted::All);
    stats.merge(&one(right, 1, Counted::All)).unwrap();
    let band = stats.statistics().unwrap().bands[0];
    assert!((band.std - 0.5).abs() < 1e-9 && (band.mean - 1e9 - 0.5).abs() < 1e-6, "{band:?}");
}

#[test]
fn parts_read_back_what_was_written_and_odd_ones_are_refused() {
    let parts = [
        one(&[3u8, 9, 3, 0], 2, Counted::All),
        PartialStats::new(Kind::I16, 1),
        one(&[0.1f32], 1, Counted::All),
    ];
    for part in &parts {
        let wire = serde_json::to_string(part).unwrap();
        assert_eq!(&serde_json::from_str::<PartialStats>(&wire).unwrap(), part, "{wire}");
    }
    assert!(parts[0].clone().merge(&parts[1]).is_err());
    for bad in [
        r#"{"kind":"u8","bands":[{"counts":{"first":250,"counts":[1,1,1,1,1,1,1]}}]}"#,
        r#"{"kind":"u8","bands":[{"counts":{"first":18446744073709551615,"counts":[1]}}]}"#,
        r#"{"kind":"u8","bands":[{"counts":{"first":0,"counts":[18446744073709551615,1]}}]}"#,
        r#"{"kind":"wide","bands":[{"counts":{"first":0,"counts":[1]}}]}"#,
        r#"{"kind":"u8","bands":[{"moments":{"count":0,"mean":0.0,"m2":0.0,"range":null}}]}"#,
        r#"{"kind":"wide","bands":[{"moments":{"count":1,"mean":0.0,"m2":0.0,"range":null}}]}"#,
    ] {
        assert!(serde_json::from_str::<PartialStats>(bad).is_err(), "{bad}");
    }
    let band = r#"{"counts":{"first":0,"counts":[]}}"#;
    let many = format!(r#"{{"kind":"u8","bands":[{}]}}"#, vec![band; 4097].join(","));
    assert!(serde_json::from_str::<PartialStats>(&many).unwrap_err().to_string().contains("4097 bands"));
}
