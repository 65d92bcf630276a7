//! Bounds: on numbers, on dates, on how many values there are.

/// Bounds that all hold; without any, every value is inside.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range<T> {
    pub lt: Option<T>,
    pub lte: Option<T>,
    pub gt: Option<T>,
    pub gte: Option<T>,
}

/// Not derived: that would ask for a default of `T`.
impl<T> Default for Range<T> {
    fn default() -> Self {
        Range { lt: None, lte: None, gt: None, gte: None }
    }
}

impl<T: Copy + PartialOrd> Range<T> {
    pub fn contains(&self, value: T) -> bool {
        self.lt.is_none_or(|bound| value < bound)
            && self.lte.is_none_or(|bound| value <= bound)
            && self.gt.is_none_or(|bound| value > bound)
            && self.gte.is_none_or(|bound| value >= bound)
    }
}

impl<T> Range<T> {
    /// The same bounds in another form, the first fault ending it.
    pub(super) fn try_map<U, E>(self, form: impl Fn(T) -> Result<U, E>) -> Result<Range<U>, E> {
        Ok(Range {
            lt: self.lt.map(&form).transpose()?,
            lte: self.lte.map(&form).transpose()?,
            gt: self.gt.map(&form).transpose()?,
            gte: self.gte.map(&form).transpose()?,
        })
    }
}
