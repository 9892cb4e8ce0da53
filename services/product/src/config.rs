/// Settings of the product service.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Config {
    #[command(flatten)]
    pub chassis: chassis::Config,

    #[command(flatten)]
    pub storage: storage::Config,

    #[command(flatten)]
    pub events: events::Config,
}
