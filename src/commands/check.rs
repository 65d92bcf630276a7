//! `pointd check`: is this configuration right, and what does it amount to?

use super::{CommandError, ConfigArgs};
use crate::config;

pub(super) fn run(args: &ConfigArgs) -> Result<(), CommandError> {
    let settings = config::load(&args.config, &args.overrides())?;
    print!("{}", config::render_masked(&settings)?);
    eprintln!("{}: valid", args.config.display());
    Ok(())
}
