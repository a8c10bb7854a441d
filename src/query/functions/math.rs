//! Functions of one number.

/// A function that is applied to each float by itself. Histograms have no result.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Elementwise(fn(f64) -> f64);

impl Elementwise {
    pub(in super::super) fn from_name(name: &str) -> Option<Self> {
        let function: fn(f64) -> f64 = match name {
            "abs" => f64::abs,
            "ceil" => f64::ceil,
            "floor" => f64::floor,
            "exp" => f64::exp,
            "sqrt" => f64::sqrt,
            "ln" => f64::ln,
            "log2" => f64::log2,
            "log10" => f64::log10,
            "sin" => f64::sin,
            "cos" => f64::cos,
            "tan" => f64::tan,
            "asin" => f64::asin,
            "acos" => f64::acos,
            "atan" => f64::atan,
            "sinh" => f64::sinh,
            "cosh" => f64::cosh,
            "tanh" => f64::tanh,
            "asinh" => asinh,
            "acosh" => acosh,
            "atanh" => f64::atanh,
            "rad" => |degrees| degrees * std::f64::consts::PI / 180.0,
            "deg" => |radians| radians * 180.0 / std::f64::consts::PI,
            "sgn" => sign,
            _ => return None,
        };
        Some(Self(function))
    }

    pub(in super::super) fn apply(&self, value: f64) -> f64 {
        (self.0)(value)
    }
}

/// Rounds to the nearest multiple, halves upwards. By the inverse, which loses less.
pub(in super::super) fn round_to(value: f64, nearest: f64) -> f64 {
    let inverse = 1.0 / nearest;
    (value * inverse + 0.5).floor() / inverse
}

/// The smaller of two, NaN if one is, but for negative infinity, which nothing is below.
pub(in super::super) fn smaller(a: f64, b: f64) -> f64 {
    if a == f64::NEG_INFINITY || b == f64::NEG_INFINITY {
        f64::NEG_INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else if a == 0.0 && b == 0.0 {
        if a.is_sign_negative() { a } else { b }
    } else {
        a.min(b)
    }
}

/// The larger of two, as [`smaller`].
pub(in super::super) fn larger(a: f64, b: f64) -> f64 {
    -smaller(-a, -b)
}

fn sign(value: f64) -> f64 {
    if value < 0.0 {
        -1.0
    } else if value > 0.0 {
        1.0
    } else {
        value
    }
}

/// The standard library's is off where the square of the value is infinite.
fn asinh(value: f64) -> f64 {
    const LARGE: f64 = 268_435_456.0;
    if value.abs() > LARGE && value.is_finite() {
        return (value.abs().ln() + std::f64::consts::LN_2).copysign(value);
    }
    value.asinh()
}

/// See [`asinh`].
fn acosh(value: f64) -> f64 {
    const LARGE: f64 = 268_435_456.0;
    if value >= LARGE && value.is_finite() {
        return value.ln() + std::f64::consts::LN_2;
    }
    value.acosh()
}
