//! Solves `A x = b` for a symmetric positive definite `A`.

/// `a` is row by row and is overwritten by its factor; `b` by the solution. `false` if `a` is not positive
/// definite, as far as doubles can tell.
pub(crate) fn solve(a: &mut [f64], b: &mut [f64]) -> bool {
    let n = b.len();
    assert_eq!(a.len(), n * n, "a square matrix");
    for row in 0..n {
        for col in 0..=row {
            let dot: f64 = (0..col).map(|k| a[row * n + k] * a[col * n + k]).sum();
            let rest = a[row * n + col] - dot;
            if row != col {
                a[row * n + col] = rest / a[col * n + col];
            } else if rest > 0.0 && rest.is_finite() {
                a[row * n + row] = rest.sqrt();
            } else {
                return false;
            }
        }
    }
    for row in 0..n {
        let dot: f64 = (0..row).map(|k| a[row * n + k] * b[k]).sum();
        b[row] = (b[row] - dot) / a[row * n + row];
    }
    for row in (0..n).rev() {
        let dot: f64 = (row + 1..n).map(|k| a[k * n + row] * b[k]).sum();
        b[row] = (b[row] - dot) / a[row * n + row];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_solution_solves() {
        let a = [4.0, 2.0, -1.0, 2.0, 5.0, 3.0, -1.0, 3.0, 6.0];
        let wanted = [1.0, -2.0, 3.0];
        let mut b: Vec<f64> =
            a.chunks(3).map(|row| row.iter().zip(&wanted).map(|(a, x)| a * x).sum()).collect();
        assert!(solve(&mut a.clone(), &mut b));
        assert!(b.iter().zip(&wanted).all(|(found, wanted)| (found - wanted).abs() < 1e-12), "{b:?}");
    }

    #[test]
    fn a_matrix_that_is_not_positive_definite_is_refused() {
        assert!(!solve(&mut [1.0, 2.0, 2.0, 1.0], &mut [1.0, 1.0]));
        assert!(!solve(&mut [f64::NAN], &mut [1.0]));
    }
}
