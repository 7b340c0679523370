//! How fast a checkpoint generates: `cargo run --example speed -- FOLDER [TOKENS] [PROMPT TOKENS]`.

use std::path::Path;

use toolglot_mlx::{Event, Request, Runtime};
use toolglot_sampler::{SamplingParams, StopConfig, uniform};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let folder = args.next().ok_or("give the folder of a checkpoint")?;
    let tokens = args.next().map_or(Ok(256), |n| n.parse())?;
    let prompt = args.next().map_or(Ok(32), |n| n.parse())?;
    let runtime = Runtime::load(Path::new(&folder))?;
    let info = runtime.info();
    println!("{:?}, {} parameters", info.config.architecture, info.parameters);
    let width = info.config.vocab_size as f64;
    for round in 1..=3 {
        let request = Request {
            sampling: SamplingParams::greedy(),
            stops: StopConfig { max_tokens: Some(tokens), ..StopConfig::default() },
            ..Request::new((0..prompt).map(|at| (uniform(0, at) * width) as u32).collect())
        };
        for event in runtime.generate(request) {
            let Event::Finished(finish) = event? else { continue };
            let timings = finish.timings;
            println!(
                "round {round}: prompt {} in {:.1?}; {} tokens in {:.1?}: {:.0} per second; waited {:.1?}, sampled {:.1?}",
                finish.prompt_tokens,
                timings.prefill,
                finish.generated_tokens,
                timings.decode,
                finish.generated_tokens as f64 / timings.decode.as_secs_f64(),
                timings.wait,
                timings.sample,
            );
        }
    }
    Ok(())
}
