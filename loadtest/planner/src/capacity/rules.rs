//! What a number of `capacity.json` may be.

pub(super) fn not_negative(value: &f64, (): &()) -> garde::Result {
    match *value {
        value if !value.is_finite() => Err(garde::Error::new(format!("{value} is no number"))),
        value if value < 0.0 => Err(garde::Error::new(format!("{value} is negative"))),
        _ => Ok(()),
    }
}

pub(super) fn above_zero(value: &f64, (): &()) -> garde::Result {
    not_negative(value, &())?;
    match *value > 0.0 {
        true => Ok(()),
        false => Err(garde::Error::new("0 is not enough")),
    }
}

pub(super) fn at_least_one(value: &f64, (): &()) -> garde::Result {
    not_negative(value, &())?;
    match *value >= 1.0 {
        true => Ok(()),
        false => Err(garde::Error::new(format!("{value} is below 1"))),
    }
}

pub(super) fn share(value: &f64, (): &()) -> garde::Result {
    not_negative(value, &())?;
    match *value <= 1.0 {
        true => Ok(()),
        false => Err(garde::Error::new(format!("{value} is above 1"))),
    }
}

pub(super) fn has_a_peak(hours: &[f64; 24], (): &()) -> garde::Result {
    match hours.contains(&1.0) {
        true => Ok(()),
        false => Err(garde::Error::new("no hour is 1, the busiest")),
    }
}
