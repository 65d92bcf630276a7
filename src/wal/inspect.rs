//! A read-only look.
