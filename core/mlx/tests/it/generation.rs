//! The generation loop: constraints, stops, cancelling, and the model thread.

use std::sync::Arc;

use toolglot_mlx::{Event, Finish, GenerateError, Request, Runtime, Token};
use toolglot_sampler::{
    ConstraintError, FinishReason, RepetitionDetection, SamplingParams, StopConfig, TokenConstraint, mask,
};

use crate::fixture;

/// Allows the given ids at each step, then ends.
struct Script {
    steps: Vec<Vec<u32>>,
    at: usize,
    accepting_at_end: bool,
}

impl Script {
    fn boxed(steps: Vec<Vec<u32>>) -> Option<Box<dyn TokenConstraint>> {
        Some(Box::new(Self { steps, at: 0, accepting_at_end: false }))
    }
}

impl TokenConstraint for Script {
    fn mask(&mut self, out: &mut [u32]) -> Result<(), ConstraintError> {
        out.fill(0);
        for &id in self.steps.get(self.at).into_iter().flatten() {
            mask::insert(out, id);
        }
        Ok(())
    }

    fn accept(&mut self, token: u32) -> Result<(), ConstraintError> {
        if !self.steps.get(self.at).is_some_and(|allowed| allowed.contains(&token)) {
            return Err(ConstraintError::new(format!("token {token} is not allowed at step {}", self.at)));
        }
        self.at += 1;
        Ok(())
    }

    fn is_accepting(&self) -> bool {
        self.at == self.steps.len() && self.accepting_at_end
    }

    fn is_finished(&self) -> bool {
        self.at == self.steps.len() && !self.accepting_at_end
    }
}

fn runtime() -> Runtime {
    Runtime::load(&fixture("qwen3-f32")).unwrap()
}

fn request() -> Request {
    Request { sampling: SamplingParams::greedy(), ..Request::new(vec![1, 2, 3, 4, 5]) }
}

fn limit(max_tokens: usize) -> StopConfig {
    StopConfig { max_tokens: Some(max_tokens), ..StopConfig::default() }
}

fn run(runtime: &Runtime, request: Request) -> (Vec<Token>, Finish) {
    let mut tokens = Vec::new();
    for event in runtime.generate(request) {
        match event.unwrap() {
            Event::Prefill { done, total } => assert!(done <= total),
            Event::Token(token) => tokens.push(token),
            Event::Finished(finish) => return (tokens, finish),
        }
    }
    panic!("it never finished")
}

fn ids(tokens: &[Token]) -> Vec<u32> {
    tokens.iter().map(|token| token.sampled.id).collect()
}

#[test]
fn only_allowed_ids_are_sampled_and_forced_ones_need_no_pass() {
    let runtime = runtime();
    let steps =
        vec![vec![7], vec![8], (0..131).collect(), vec![9], vec![10, 11, 12], vec![20], vec![21], vec![22]];
    let mut results = Vec::new();
    for jump_forward in [true, false] {
        for sampling in [SamplingParams::greedy(), SamplingParams { seed: 3, ..SamplingParams::default() }] {
            let request =
                Request { constraint: Script::boxed(steps.clone()), sampling, jump_forward, ..request() };
            let (tokens, finish) = run(&runtime, request);
            assert_eq!(finish.reason, FinishReason::Constraint);
            assert_eq!((finish.generated_tokens, finish.forced_tokens), (8, 6));
            for (token, allowed) in tokens.iter().zip(&steps) {
                assert!(allowed.contains(&token.sampled.id));
                assert_eq!(token.sampled.allowed as usize, allowed.len());
                assert_eq!(token.sampled.forced, allowed.len() == 1);
            }
            if jump_forward {
                // [7 8], the free one, 9, and one of [10 11 12].
                assert_eq!(finish.passes, 4);
            }
            results.push(ids(&tokens));
        }
    }
    assert_eq!(results[0], results[2], "greedy, with and without jumps");
    assert_eq!(results[1], results[3], "seeded, with and without jumps");
}

#[test]
fn a_constraint_steers_greedy_choice_exactly() {
    let runtime = runtime();
    let (free, _) = run(&runtime, Request { stops: limit(1), ..request() });
    let best = free[0].sampled.id;
    let others: Vec<u32> = (0..131).filter(|&id| id != best).collect();
    let (tokens, _) = run(&runtime, Request { constraint: Script::boxed(vec![others]), ..request() });
    assert_ne!(tokens[0].sampled.id, best);
    assert_eq!(tokens[0].sampled.allowed, 130);
}

#[test]
fn end_ids_are_allowed_where_the_constraint_accepts() {
    let runtime = runtime();
    assert_eq!(runtime.info().end_ids, [2, 5]);
    let script = Script { steps: vec![vec![30], vec![31]], at: 0, accepting_at_end: true };
    let stops = StopConfig { eos: runtime.info().end_ids.clone(), ..StopConfig::default() };
    let (tokens, finish) = run(&runtime, Request { constraint: Some(Box::new(script)), stops, ..request() });
    assert_eq!(ids(&tokens)[..2], [30, 31]);
    assert_eq!(tokens[2].sampled.allowed, 2);
    assert_eq!(finish.reason, FinishReason::Eos { id: tokens[2].sampled.id });
}

#[test]
fn a_dead_end_is_a_typed_error_and_the_model_lives_on() {
    let runtime = runtime();
    let dead = Script::boxed(vec![vec![7], vec![], vec![8]]);
    let events: Vec<_> = runtime.generate(Request { constraint: dead, ..request() }).collect();
    let error = events.last().unwrap().as_ref().unwrap_err();
    assert!(
        matches!(error, GenerateError::Sample(toolglot_sampler::SampleError::EmptyMask { .. })),
        "{error}"
    );
    let (tokens, finish) = run(&runtime, Request { stops: limit(3), ..request() });
    assert_eq!((tokens.len(), finish.reason), (3, FinishReason::MaxTokens));
}

/// Panics when asked for its second mask.
struct Faulty(bool);

impl TokenConstraint for Faulty {
    fn mask(&mut self, out: &mut [u32]) -> Result<(), ConstraintError> {
        assert!(!self.0, "a bug in a constraint");
        out.fill(!0);
        Ok(())
    }

    fn accept(&mut self, _: u32) -> Result<(), ConstraintError> {
        self.0 = true;
        Ok(())
    }

    fn is_accepting(&self) -> bool {
        false
    }

    fn is_finished(&self) -> bool {
        false
    }
}

#[test]
fn a_constraint_that_panics_ends_its_generation_only() {
    let runtime = runtime();
    let request = Request { constraint: Some(Box::new(Faulty(false))), ..request() };
    let answer = runtime.generate(request).last().unwrap();
    assert!(matches!(answer, Err(GenerateError::Constraint(_))), "{answer:?}");
    assert_eq!(run(&runtime, Request { stops: limit(2), ..self::request() }).0.len(), 2);
}

#[test]
fn long_forced_runs_keep_to_the_limit() {
    let runtime = runtime();
    let steps: Vec<Vec<u32>> = (0..300).map(|at| vec![at % 131]).collect();
    let constraint = || Script::boxed(steps.clone());
    let (tokens, finish) = run(&runtime, Request { constraint: constraint(), ..request() });
    assert_eq!((tokens.len(), finish.forced_tokens), (300, 300));
    assert_eq!(finish.reason, FinishReason::Constraint);
    for most in [1, 64, 65, 150] {
        let request = Request { constraint: constraint(), stops: limit(most), ..request() };
        let (tokens, finish) = run(&runtime, request);
        assert_eq!((tokens.len(), finish.reason), (most, FinishReason::MaxTokens));
    }
}

#[test]
fn the_observer_ends_a_generation_exactly() {
    let runtime = runtime();
    let mut seen = 0;
    let observer = Box::new(move |_: &Token| {
        seen += 1;
        (seen == 4).then_some(FinishReason::ToolCall)
    });
    let (tokens, finish) = run(&runtime, Request { observer: Some(observer), ..request() });
    assert_eq!((tokens.len(), finish.reason), (4, FinishReason::ToolCall));
}

#[test]
fn stop_strings_and_loops_end_a_generation() {
    let runtime = runtime();
    let (plain, _) = run(&runtime, Request { stops: limit(12), ..request() });
    let text: Vec<String> = ids(&plain).iter().map(|id| format!("<{id}>")).collect();
    // A stop string that begins inside one token and ends inside the next.
    let stop = format!("{}{}", &text[5][1..], &text[6][..1]);
    let bytes: Vec<(Vec<u8>, bool)> = (0..131).map(|id| (format!("<{id}>").into_bytes(), false)).collect();
    let stops = StopConfig { stop_strings: vec![stop.clone().into_bytes()], ..limit(12) };
    let (tokens, finish) =
        run(&runtime, Request { stops: stops.clone(), tokens: Some(Arc::new(bytes)), ..request() });
    let mut out: Vec<u8> = tokens.iter().flat_map(|token| token.pieces.bytes.clone()).collect();
    out.extend(&finish.pieces.bytes);
    let whole = text.concat();
    assert_eq!(finish.reason, FinishReason::StopString { index: 0 });
    assert_eq!(out, &whole.as_bytes()[..whole.find(&stop).unwrap()]);

    let answer = runtime.generate(Request { stops, ..request() }).last().unwrap();
    assert!(matches!(answer, Err(GenerateError::NoTokenBytes)));

    // A model forced to say the same thing again and again.
    let steps = (0..200).map(|_| vec![6, 7]).collect();
    let rule = RepetitionDetection { min_pattern_size: 1, max_pattern_size: 20, min_count: 4 };
    let stops = StopConfig { repetition: Some(rule), ..StopConfig::default() };
    let (_, finish) = run(&runtime, Request { constraint: Script::boxed(steps), stops, ..request() });
    assert!(matches!(finish.reason, FinishReason::Repetition(_)), "{:?}", finish.reason);
}

#[test]
fn seeds_reproduce_and_differ() {
    let runtime = runtime();
    let sample = |seed| {
        let sampling = SamplingParams { seed, temperature: 3.0, top_k: 40, ..SamplingParams::default() };
        ids(&run(&runtime, Request { sampling, stops: limit(20), ..request() }).0)
    };
    assert_eq!(sample(1), sample(1));
    assert_ne!(sample(1), sample(2));
}

#[test]
fn generations_can_be_cancelled_or_dropped() {
    let runtime = runtime();
    let mut generation = runtime.generate(Request { stops: limit(900), ..request() });
    generation.next().unwrap().unwrap();
    generation.cancel();
    let Some(Ok(Event::Finished(finish))) = generation.last() else { panic!("it must finish") };
    assert_eq!(finish.reason, FinishReason::Cancelled);
    assert!(finish.generated_tokens < 900);

    drop(runtime.generate(Request { stops: limit(900), ..request() }));
    assert_eq!(run(&runtime, Request { stops: limit(2), ..request() }).0.len(), 2);
}

#[test]
fn a_runtime_can_be_dropped_under_its_generations() {
    let runtime = runtime();
    let first = runtime.generate(Request { stops: limit(1000), ..request() });
    let second = runtime.generate(Request { stops: limit(1000), ..request() });
    drop(runtime);
    for generation in [first, second] {
        match generation.last().unwrap() {
            Ok(Event::Finished(finish)) => assert_eq!(finish.reason, FinishReason::Cancelled),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn progress_of_a_chunked_prefill_is_reported() {
    let runtime = runtime();
    let request = Request { prefill_chunk: 4, stops: limit(1), ..Request::new((0..11).collect()) };
    let progress: Vec<_> = runtime
        .generate(request)
        .filter_map(|event| match event.unwrap() {
            Event::Prefill { done, total } => Some((done, total)),
            _ => None,
        })
        .collect();
    assert_eq!(
        progress,
        [(4, 11), (8, 11), (10, 11)],
        "the last token of the prompt belongs to the first step"
    );
}

#[test]
fn prompts_must_fit() {
    let runtime = runtime();
    let answer = |prompt: Vec<u32>| runtime.generate(Request::new(prompt)).last().unwrap();
    assert!(matches!(answer(vec![]), Err(GenerateError::EmptyPrompt)));
    assert!(matches!(
        answer(vec![1; 1024]),
        Err(GenerateError::PromptTooLong { prompt: 1024, context: 1024 })
    ));
    assert!(matches!(answer(vec![1, 500]), Err(GenerateError::Model(_))));
    // The context is a limit too.
    let (tokens, finish) = run(&runtime, Request::new(vec![1; 1021]));
    assert_eq!((tokens.len(), finish.reason), (3, FinishReason::MaxTokens));
}
