//! `pointd check`: is this configuration right, and what does it amount to?

use super::{CommandError, ConfigArgs};
use crate::config::{self, Files};

pub(super) fn run(args: &ConfigArgs) -> Result<(), CommandError> {
    let settings = config::load_with_clients(&args.config, &args.overrides(), Files::Must)?;
    print!("{}", config::render_masked(&settings)?);
    eprintln!("{}: valid", args.config.display());
    Ok(())
}
