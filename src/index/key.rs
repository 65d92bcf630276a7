//! Values as unsigned keys that sort as the values do.

/// The sign bit: turned over, two's complement sorts as unsigned.
const SIGN: u64 = 1 << 63;

pub(super) fn of_i64(value: i64) -> u64 {
    value as u64 ^ SIGN
}

pub(super) fn to_i64(key: u64) -> i64 {
    (key ^ SIGN) as i64
}

/// -0 and 0 are one key, because a range holds both or neither.
pub(super) fn of_f64(value: f64) -> u64 {
    let bits = (value + 0.0).to_bits();
    if bits & SIGN == 0 { bits ^ SIGN } else { !bits }
}

pub(super) fn to_f64(key: u64) -> f64 {
    f64::from_bits(if key & SIGN == 0 { !key } else { key ^ SIGN })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keys_sort_as_their_values(a: i64, b: i64, x: f64, y: f64) {
            prop_assert_eq!(of_i64(a).cmp(&of_i64(b)), a.cmp(&b));
            prop_assert_eq!(to_i64(of_i64(a)), a);
            if let Some(order) = x.partial_cmp(&y) {
                prop_assert_eq!(of_f64(x).cmp(&of_f64(y)), order);
                prop_assert_eq!(to_f64(of_f64(x)), x);
            }
        }
    }

    #[test]
    fn both_zeros_are_one_key() {
        assert_eq!(of_f64(-0.0), of_f64(0.0));
        assert!(of_f64(-f64::MIN_POSITIVE) < of_f64(0.0));
        assert!(of_f64(f64::NEG_INFINITY) < of_f64(f64::MIN));
    }
}
