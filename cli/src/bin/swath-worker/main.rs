//! What needs an engine: `swath worker`, `swath train`, `swath bench forward`, and which engines there are. A program of its own,
//! since it alone needs libtorch; it takes the same command line as `swath`, which becomes this program where it is
//! asked to compute.

mod forward;
mod train;
#[cfg(feature = "worker")]
mod work;

use swath::{
    args::{self, Args, BenchArgs, BenchCommand, Command},
    exit::{Exit, Usage},
};

fn main() -> ! {
    swath::finish(args::typed().and_then(obey))
}

fn obey(args: Args) -> anyhow::Result<Exit> {
    match &args.command {
        // Here first: a worker forks before anything else exists.
        #[cfg(feature = "worker")]
        Command::Worker(worker) => work::work(worker, &args.doors, args.log_format),
        Command::Bench(BenchArgs { what: BenchCommand::Forward(forward) }) => forward::run(forward),
        Command::Train(args_of_train) => train::run(args_of_train, &args.doors, args.log_format),
        Command::Doctor => {
            let engines = swath_model::engines()?;
            #[cfg(feature = "worker")]
            let engines = [engines, vec![swath_raster::version()]].concat();
            swath::say::line(format_args!("{}", engines.join(", ")));
            Ok(Exit::Done)
        }
        _ => Err(Usage(
            "this program knows `worker`, `train` and `bench forward`; everything else is `swath`".into(),
        )
        .into()),
    }
}
