//! What a sampling step costs on a large vocabulary: `cargo run --release --example cost`.

use std::time::Instant;

use toolglot_sampler::{Logprobs, Sampler, SamplingParams, mask, uniform};

/// As wide as the output of Qwen3.
const WIDTH: usize = 151_936;
const STEPS: usize = 200;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let logits: Vec<f32> = (0..WIDTH).map(|id| (uniform(1, id as u64) * 20.0 - 10.0) as f32).collect();
    let some = |share: f64| {
        let mut words = vec![0; mask::words(WIDTH)];
        for id in (0..WIDTH as u32).filter(|&id| uniform(2, u64::from(id)) < share) {
            mask::insert(&mut words, id);
        }
        words
    };
    let masks = [("no mask", None), ("half", Some(some(0.5))), ("about 100 ids", Some(some(0.0007)))];
    let plain = SamplingParams::default();
    let off = Logprobs::Off;
    let chains = [
        ("greedy", SamplingParams { logprobs: off, ..SamplingParams::greedy() }),
        ("greedy, logprob", SamplingParams::greedy()),
        ("temperature", SamplingParams { logprobs: off, ..plain.clone() }),
        ("top-k 40, top-p 0.9", SamplingParams { logprobs: off, top_k: 40, top_p: 0.9, ..plain.clone() }),
        ("top-p 0.9", SamplingParams { logprobs: off, top_p: 0.9, ..plain.clone() }),
        ("min-p 0.05", SamplingParams { logprobs: off, min_p: 0.05, ..plain }),
    ];
    println!("{:22} {:>15} {:>10} {:>10}", "microseconds per step", "mask", "min", "quartile");
    for (chain, params) in &chains {
        for (name, mask) in &masks {
            let mut sampler = Sampler::new(params.clone(), &[])?;
            let mut row = logits.clone();
            let mut times = Vec::with_capacity(STEPS);
            for _ in 0..STEPS {
                let start = Instant::now();
                sampler.sample(&mut row, mask.as_deref())?;
                times.push(start.elapsed().as_secs_f64() * 1e6);
            }
            times.sort_by(f64::total_cmp);
            println!("{chain:22} {name:>15} {:10.1} {:10.1}", times[0], times[STEPS / 4]);
        }
    }
    Ok(())
}
