//! The chain against a slow, obvious reference in `f64`.

use std::collections::BTreeMap;

use proptest::prelude::*;
use toolglot_sampler::{
    Backend, Logprobs, ParamsError, Penalty, Pick, SampleError, Sampler, SamplingParams, Scratch,
    SliceBackend, mask,
};

fn plain() -> Pick<'static> {
    Pick {
        mask: None,
        limit: usize::MAX,
        bias: &[],
        penalties: &[],
        temperature: 1.0,
        top_k: 0,
        top_p: 1.0,
        min_p: 0.0,
        draw: 0.5,
        logprobs: Logprobs::Allowed,
        report_overruled: false,
    }
}

fn pick(logits: &[f32], pick: &Pick<'_>) -> Result<(u32, Option<f32>, u32), SampleError> {
    let mut row = logits.to_vec();
    let mut scratch = Scratch::default();
    SliceBackend::new(&mut row, &mut scratch).pick(pick).map(|p| (p.id, p.logprob, p.allowed))
}

/// What each id is sampled with, and how far the nearest cut decision is from flipping.
fn reference(logits: &[f32], pick: &Pick<'_>) -> (BTreeMap<u32, f64>, f64) {
    let mut margin = f64::INFINITY;
    let mut list: Vec<(u32, f64)> = (0..logits.len() as u32)
        .filter(|&id| (id as usize) < pick.limit && pick.mask.is_none_or(|m| mask::contains(m, id)))
        .map(|id| {
            let mut logit = logits[id as usize];
            for bias in pick.bias.iter().filter(|b| b.0 == id) {
                logit += bias.1;
            }
            for p in pick.penalties.iter().filter(|p| p.id == id) {
                logit = if logit > 0.0 { logit / p.divide } else { logit * p.divide } - p.subtract;
            }
            (id, f64::from(logit) / f64::from(pick.temperature))
        })
        .collect();
    list.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    if pick.top_k > 0 && (pick.top_k as usize) < list.len() {
        let k = pick.top_k as usize;
        // Equal logits are cut by id in both; nearly equal ones may be ordered by rounding.
        let gap = list[k - 1].1 - list[k].1;
        margin = margin.min(if gap == 0.0 { 1.0 } else { gap });
        list.truncate(k);
    }
    let max = list[0].1;
    let mut list: Vec<(u32, f64)> = list.iter().map(|&(id, x)| (id, (x - max).exp())).collect();
    let total: f64 = list.iter().map(|x| x.1).sum();
    let mut sum = 0.0;
    let mut kept = 0;
    for (id, weight) in &list {
        margin = margin.min((sum / total - f64::from(pick.top_p)).abs());
        if *id != list[0].0 && pick.top_p < 1.0 && sum / total >= f64::from(pick.top_p) {
            break;
        }
        sum += weight;
        kept += 1;
    }
    list.truncate(kept);
    if pick.min_p > 0.0 {
        for (_, weight) in &list[1..] {
            margin = margin.min((weight - f64::from(pick.min_p)).abs());
        }
        list.retain(|(_, weight)| *weight >= f64::from(pick.min_p));
    }
    let total: f64 = list.iter().map(|x| x.1).sum();
    (list.into_iter().map(|(id, weight)| (id, weight / total)).collect(), margin)
}

/// How often each id comes up when the random number sweeps evenly over `[0, 1)`.
fn sweep(logits: &[f32], base: &Pick<'_>, draws: usize) -> BTreeMap<u32, f64> {
    let mut seen = BTreeMap::new();
    for i in 0..draws {
        let draw = (i as f64 + 0.5) / draws as f64;
        let (id, ..) = pick(logits, &Pick { draw, ..*base }).unwrap();
        *seen.entry(id).or_insert(0.0) += 1.0 / draws as f64;
    }
    seen
}

fn packed(allowed: &[bool]) -> Vec<u32> {
    let mut words = vec![0; mask::words(allowed.len())];
    for (id, _) in allowed.iter().enumerate().filter(|(_, yes)| **yes) {
        mask::insert(&mut words, id as u32);
    }
    words
}

prop_compose! {
    /// A row, a mask over part of it with at least one id allowed, and settings.
    fn case()(
        width in 1usize..150,
        reach in 1usize..150,
        seed in any::<u64>(),
        dense in any::<bool>(),
    )(
        logits in prop::collection::vec((-40i32..40).prop_map(|x| x as f32 / 8.0), width),
        mut allowed in prop::collection::vec(prop::bool::weighted(if dense { 0.97 } else { 0.2 }), reach.min(width)),
        at in 0..reach.min(width),
        no_mask in prop::bool::weighted(0.2),
        bias in prop::collection::vec((0u32..160, -3.0f32..3.0), 0..4),
        penalties in prop::collection::btree_map(0u32..160, (0.5f32..2.0, -1.0f32..1.0), 0..6),
        temperature in prop_oneof![Just(1.0f32), 0.2f32..2.0],
        top_k in prop_oneof![Just(0u32), 1u32..8, 1u32..200],
        top_p in prop_oneof![Just(1.0f32), 0.05f32..1.0],
        min_p in prop_oneof![Just(0.0f32), 0.01f32..0.9],
        seed in Just(seed),
    ) -> (Vec<f32>, Option<Vec<u32>>, Vec<(u32, f32)>, Vec<Penalty>, SamplingParams) {
        allowed[at] = true;
        let penalties = penalties.iter().map(|(&id, &(divide, subtract))| Penalty { id, divide, subtract }).collect();
        let params = SamplingParams { temperature, top_k, top_p, min_p, seed, ..SamplingParams::default() };
        (logits, (!no_mask).then(|| packed(&allowed)), bias, penalties, params)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn matches_the_reference((logits, mask, bias, penalties, params) in case()) {
        let base = Pick {
            mask: mask.as_deref(), bias: &bias, penalties: &penalties, temperature: params.temperature,
            top_k: params.top_k, top_p: params.top_p, min_p: params.min_p, ..plain()
        };
        let (expected, margin) = reference(&logits, &base);
        prop_assume!(margin > 1e-5);
        let draws = 400;
        let seen = sweep(&logits, &base, draws);
        for (id, share) in &seen {
            let exact = expected.get(id).copied().unwrap_or(0.0);
            prop_assert!(exact > 0.0, "{id} must not be sampled: {expected:?}");
            prop_assert!((share - exact).abs() <= 1.5 / draws as f64, "{id}: {share} for {exact}");
        }
    }

    #[test]
    fn greedy_is_the_masked_argmax((logits, mask, bias, penalties, _) in case()) {
        let base = Pick { mask: mask.as_deref(), bias: &bias, penalties: &penalties, ..plain() };
        let (expected, margin) = reference(&logits, &Pick { top_k: 1, ..base });
        prop_assume!(margin > 1e-5);
        let (id, logprob, allowed) = pick(&logits, &Pick { temperature: 0.0, ..base }).unwrap();
        prop_assert_eq!(vec![id], expected.into_keys().collect::<Vec<_>>());
        let among = reference(&logits, &base).0;
        prop_assert_eq!(allowed as usize, among.len());
        prop_assert!((f64::from(logprob.unwrap()) - among[&id].ln()).abs() < 1e-5);
    }

    #[test]
    fn never_a_masked_id_and_always_the_same_for_a_seed((logits, mask, bias, _, params) in case()) {
        let params = SamplingParams {
            logit_bias: bias, repetition_penalty: 1.3, frequency_penalty: 0.2, ..params
        };
        let run = |params: &SamplingParams| {
            let mut sampler = Sampler::new(params.clone(), &[1, 2, 3]).unwrap();
            (0..12)
                .map(|_| sampler.sample(&mut logits.clone(), mask.as_deref()).unwrap())
                .inspect(|sampled| {
                    assert!((sampled.id as usize) < logits.len());
                    assert!(mask.as_deref().is_none_or(|m| mask::contains(m, sampled.id)));
                })
                .collect::<Vec<_>>()
        };
        prop_assert_eq!(run(&params), run(&params));
    }

    #[test]
    fn rollback_repeats_the_same_draws((logits, mask, _, _, params) in case(), back in 0usize..12) {
        let params = SamplingParams { presence_penalty: 0.4, penalty_window: Some(5), ..params };
        let mut sampler = Sampler::new(params, &[0]).unwrap();
        let step = |sampler: &mut Sampler| sampler.sample(&mut logits.clone(), mask.as_deref()).unwrap().id;
        let first: Vec<_> = (0..12).map(|_| step(&mut sampler)).collect();
        sampler.rollback(back);
        let again: Vec<_> = (0..back).map(|_| step(&mut sampler)).collect();
        prop_assert_eq!(&first[12 - back..], &again[..]);
    }
}

#[test]
fn ties_go_to_the_lowest_id() {
    let mut logits = vec![0.0; 200];
    for id in [70, 71, 199] {
        logits[id] = 3.0;
    }
    let greedy = Pick { temperature: 0.0, ..plain() };
    assert_eq!(pick(&logits, &greedy).unwrap().0, 70);
    let mut words = vec![!0u32; mask::words(200)];
    mask::remove(&mut words, 70);
    assert_eq!(pick(&logits, &Pick { mask: Some(&words), ..greedy }).unwrap().0, 71);
    let seen = sweep(&logits, &Pick { top_k: 2, ..plain() }, 50);
    assert_eq!(seen.into_keys().collect::<Vec<_>>(), [70, 71]);
}

#[test]
fn padding_rows_are_never_sampled() {
    let logits: Vec<f32> = (0..100).map(|id| id as f32).collect();
    let greedy = Pick { temperature: 0.0, ..plain() };
    assert_eq!(pick(&logits, &Pick { limit: 90, ..greedy }).unwrap(), (89, Some(-0.458_675_15), 90));
    // A mask of two words reaches 64 ids; what lies beyond is forbidden.
    assert_eq!(pick(&logits, &Pick { mask: Some(&[!0, !0]), ..greedy }).unwrap().0, 63);
    // A mask that is longer than the row allows nothing beyond the row.
    let long = [0, 0, 0, 0, !0];
    assert_eq!(
        pick(&logits, &Pick { mask: Some(&long), ..greedy }),
        Err(SampleError::EmptyMask { width: 100 })
    );
}

#[test]
fn what_cannot_be_sampled_is_a_typed_error() {
    let greedy = Pick { temperature: 0.0, ..plain() };
    assert_eq!(
        pick(&[1.0; 40], &Pick { mask: Some(&[0, 0]), ..greedy }),
        Err(SampleError::EmptyMask { width: 40 })
    );
    assert_eq!(pick(&[], &greedy), Err(SampleError::EmptyMask { width: 0 }));
    assert_eq!(pick(&[f32::NEG_INFINITY; 3], &plain()), Err(SampleError::NothingPossible { allowed: 3 }));
    let bias = [(0, f32::NEG_INFINITY), (1, f32::NEG_INFINITY)];
    assert_eq!(
        pick(&[0.0; 8], &Pick { bias: &bias, mask: Some(&[0b11]), ..plain() }),
        Err(SampleError::NothingPossible { allowed: 2 })
    );
    assert!(matches!(pick(&[0.0, f32::NAN, 1.0], &greedy), Err(SampleError::NotFinite { id: 1, .. })));
    let mut wide = vec![0.0; 64];
    wide[40] = f32::INFINITY;
    assert_eq!(pick(&wide, &greedy), Err(SampleError::NotFinite { id: 40, value: f32::INFINITY }));
    // What the mask hides does no harm.
    assert_eq!(pick(&[0.0, f32::NAN, 1.0], &Pick { mask: Some(&[0b101]), ..greedy }).unwrap().0, 2);
}

#[test]
fn a_forced_token_is_reported_and_needs_no_probability() {
    let mut sampler = Sampler::new(SamplingParams::default(), &[]).unwrap();
    let sampled = sampler.sample(&mut [f32::NEG_INFINITY; 70], Some(&[0, 1 << 5, 0])).unwrap();
    assert_eq!((sampled.id, sampled.allowed, sampled.forced, sampled.logprob), (37, 1, true, Some(0.0)));
}

#[test]
fn raw_logprobs_ignore_mask_bias_and_penalties() {
    let logits = [1.0, 2.0, 3.0];
    let total: f64 = logits.iter().map(|&x: &f32| f64::from(x).exp()).sum();
    let params = SamplingParams {
        logit_bias: vec![(0, 5.0), (0, 1.0)],
        repetition_penalty: 1.5,
        logprobs: Logprobs::Raw,
        ..SamplingParams::greedy()
    };
    let mut sampler = Sampler::new(params, &[0]).unwrap();
    let sampled = sampler.sample(&mut logits.clone(), Some(&[0b011])).unwrap();
    assert_eq!(sampled.id, 0);
    assert!((f64::from(sampled.logprob.unwrap()) - (1.0 - total.ln())).abs() < 1e-6);
}

#[test]
fn penalties_can_rest() {
    let params = SamplingParams { repetition_penalty: 10.0, ..SamplingParams::greedy() };
    let mut sampler = Sampler::new(params, &[0]).unwrap();
    assert_eq!(sampler.sample(&mut [2.0, 1.0], None).unwrap().id, 1);
    sampler.set_penalties_rest(true);
    assert_eq!(sampler.sample(&mut [2.0, 1.0], None).unwrap().id, 0);
}

#[test]
fn extreme_temperatures_stay_in_range() {
    let hot = sweep(&[9.0, 0.0], &Pick { temperature: 1e30, ..plain() }, 100);
    assert!((hot[&0] - 0.5).abs() < 0.02);
    for temperature in [1e-6, 1e-40] {
        let cold = sweep(&[9.0, 8.99, -9.0], &Pick { temperature, ..plain() }, 100);
        assert_eq!(cold.into_keys().collect::<Vec<_>>(), [0]);
    }
}

#[test]
fn settings_are_checked() {
    let bad = |change: fn(&mut SamplingParams)| {
        let mut params = SamplingParams::default();
        change(&mut params);
        Sampler::new(params, &[]).unwrap_err()
    };
    let named = |error: ParamsError| match error {
        ParamsError::OutOfRange { name, .. } => name,
        ParamsError::Bias { .. } => "bias",
    };
    assert_eq!(named(bad(|p| p.temperature = -0.1)), "temperature");
    assert_eq!(named(bad(|p| p.temperature = f32::NAN)), "temperature");
    assert_eq!(named(bad(|p| p.top_p = 0.0)), "top_p");
    assert_eq!(named(bad(|p| p.min_p = 1.1)), "min_p");
    assert_eq!(named(bad(|p| p.repetition_penalty = 0.0)), "repetition_penalty");
    assert_eq!(named(bad(|p| p.presence_penalty = f32::INFINITY)), "presence_penalty");
    assert_eq!(named(bad(|p| p.logit_bias = vec![(3, f32::NAN)])), "bias");
}

#[test]
fn an_overruled_first_choice_is_reported_on_request() {
    let logits = [1.0, 5.0, 3.0];
    let sample = |report_overruled, mask: &[u32]| {
        let params = SamplingParams { report_overruled, ..SamplingParams::greedy() };
        let sampled = Sampler::new(params, &[]).unwrap().sample(&mut logits.clone(), Some(mask)).unwrap();
        (sampled.id, sampled.overruled)
    };
    assert_eq!(sample(true, &[0b101]), (2, Some(1)));
    assert_eq!(sample(true, &[0b001]), (0, Some(1)), "forced tokens too");
    assert_eq!(sample(true, &[0b111]), (1, None));
    assert_eq!(sample(false, &[0b101]), (2, None));
}
