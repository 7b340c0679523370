//! What plugins cost beside native code: `cargo bench -p toolglot-plugin-host`. Prints medians.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use fixture_memo as _;
use serde_json::json;
use toolglot_format::{FinishReason, Piece, Plan};
use toolglot_parsers::{Family, Registry, SessionOptions};
use toolglot_plugin_host::{HostConfig, PluginHost, SessionWhere};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let prebuilt = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/prebuilt");
    let folder = tempfile::tempdir()?;
    let mut config = HostConfig::default();
    config.sessions = SessionWhere::Guest;
    let mut cached = config.clone();
    cached.cache = Some(folder.path().join("cache"));
    let native = Registry::builtin()?;
    let tools = json!([{"name": "get_weather", "parameters": {"type": "object", "properties": {
        "city": {"type": "string"}, "days": {"type": "integer"}}}}]);
    let plan = Plan::from_openai(&tools, &json!(null), true)?;
    let memo = "Let me look.\n@get_weather\ncity = Paris\ndays = 3\n.\n".repeat(4);
    let harmony = "<|channel|>analysis<|message|>The user wants the weather of the next days.<|end|><|start|>\
                   assistant<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>\
                   {\"city\": \"Paris\", \"days\": 3}<|call|>";
    let long_memo = memo.repeat((64 << 10) / memo.len());
    let long_harmony =
        format!("<|channel|>final<|message|>{}", "All is well, as far as is known.\n".repeat(2 << 10));
    for (id, output, long) in [("memo", memo.as_str(), &long_memo), ("harmony", harmony, &long_harmony)] {
        let bytes = std::fs::read(prebuilt.join(format!("{id}.wasm")))?;
        println!("{id}: component of {} bytes", bytes.len());
        show(
            "compile",
            median(5, || PluginHost::new(config.clone()).map(|host| host.load_bytes(id, &bytes))),
        );
        PluginHost::new(cached.clone())?.load_bytes(id, &bytes)?;
        show(
            "load from the cache",
            median(50, || PluginHost::new(cached.clone()).map(|host| host.load_bytes(id, &bytes))),
        );
        let host = PluginHost::new(config.clone())?;
        let guest = host.load_bytes(id, &bytes)?;
        let same = native.get(id).ok_or("the native family is not linked in")?;
        for (place, family) in [("guest", &*guest as &dyn Family), ("native", &**same)] {
            println!("  {place}");
            show("  format", median(500, || family.format(&plan).map(|format| format.into_owned())));
            show("  session", median(500, || family.session(&plan, SessionOptions::default())));
            let cuts: Vec<Piece<'_>> =
                output.as_bytes().chunks(4).map(|bytes| Piece { bytes, special: None }).collect();
            let (mut feeds, mut turns) = (Vec::new(), Vec::new());
            for _ in 0..300 {
                let mut session = family.session(&plan, SessionOptions::default())?;
                let mut events = Vec::with_capacity(1024);
                let start = Instant::now();
                for piece in &cuts {
                    let start = Instant::now();
                    session.feed(std::slice::from_ref(piece), &mut events);
                    feeds.push(start.elapsed());
                }
                session.finish(FinishReason::Stop, &mut events);
                turns.push(start.elapsed());
                assert!(session.failure().is_none(), "{:?}", session.failure());
                black_box(events);
            }
            show("  feed of 4 bytes", middle(&mut feeds));
            show(&format!("  turn of {} bytes, 4 at a time", output.len()), middle(&mut turns));
            let whole = |output: &str| {
                let mut session = family.session(&plan, SessionOptions::default())?;
                let mut events = Vec::new();
                session.feed(&[Piece::text(output)], &mut events);
                session.finish(FinishReason::Stop, &mut events);
                Ok::<_, toolglot_parsers::FamilyError>(events)
            };
            show("  session and turn at once", median(300, || whole(output)));
            show(&format!("  the same, {} bytes", long.len()), median(50, || whole(long)));
        }
    }
    Ok(())
}

fn median<T>(times: usize, mut work: impl FnMut() -> T) -> Duration {
    let mut all: Vec<Duration> = (0..times)
        .map(|_| {
            let start = Instant::now();
            black_box(work());
            start.elapsed()
        })
        .collect();
    middle(&mut all)
}

fn middle(all: &mut [Duration]) -> Duration {
    all.sort();
    all[all.len() / 2]
}

fn show(what: &str, time: Duration) {
    println!("  {what:<40} {time:>12.2?}");
}
