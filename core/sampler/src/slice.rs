//! The chain over a plain `&mut [f32]`: the reference backend, and the fast one on a CPU.
//!
//! Cost is linear in the row: greedy takes one pass over the allowed ids, sampling two or three.
//! Nothing is allocated per step once [`Scratch`] has grown. Ids are visited in ascending order
//! and ties go to the lower id, so results do not depend on anything but the input.

use std::cmp::Ordering;

use crate::exp::exp_neg;
use crate::mask::{Bits, contains, word, words};
use crate::{Backend, Logprobs, Pick, Picked, SampleError};

/// Working memory of [`SliceBackend`], kept between steps.
#[derive(Debug, Clone, Default)]
pub struct Scratch {
    candidates: Vec<Candidate>,
    /// Candidates of the bin in which top-p is reached.
    border: Vec<Candidate>,
    /// Sum of weights per mask word.
    sums: Vec<f64>,
    /// Logits before bias and penalties, where those changed them.
    originals: Vec<(u32, f32)>,
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    id: u32,
    /// Tempered logit below the maximum: at most 0.
    x: f32,
}

/// Most likely first, the lower id on a tie.
fn by_rank(a: &Candidate, b: &Candidate) -> Ordering {
    b.x.total_cmp(&a.x).then(a.id.cmp(&b.id))
}

/// A row of logits in memory.
#[derive(Debug)]
pub struct SliceBackend<'a> {
    logits: &'a mut [f32],
    scratch: &'a mut Scratch,
}

impl<'a> SliceBackend<'a> {
    /// Wraps a row and working memory.
    pub fn new(logits: &'a mut [f32], scratch: &'a mut Scratch) -> Self {
        Self { logits, scratch }
    }
}

impl Backend for SliceBackend<'_> {
    fn width(&self) -> usize {
        self.logits.len()
    }

    fn pick(&mut self, pick: &Pick<'_>) -> Result<Picked, SampleError> {
        let width = self.logits.len().min(pick.limit);
        let allowed: u32 = (0..words(width)).map(|w| word(pick.mask, w, width).count_ones()).sum();
        if allowed == 0 {
            return Err(SampleError::EmptyMask { width });
        }
        let raw =
            (pick.logprobs == Logprobs::Raw).then(|| log_sum_exp(&Row { logits: self.logits, mask: None }));
        let overruled = if pick.report_overruled && pick.mask.is_some() {
            let whole = Row { logits: &self.logits[..width], mask: None };
            let first = whole.best(width as u32).ok().map(|(id, _)| id);
            first.filter(|&id| !pick.mask.is_some_and(|mask| contains(mask, id)))
        } else {
            None
        };
        self.adjust(pick);

        let logits = &self.logits[..width];
        let row = Row { logits, mask: pick.mask };
        let (best, max) = if allowed == 1 { row.only() } else { row.best(allowed)? };
        let id =
            if allowed == 1 || pick.temperature == 0.0 { best } else { draw(&row, max, pick, self.scratch) };
        let logprob = match pick.logprobs {
            Logprobs::Off => None,
            Logprobs::Allowed if allowed == 1 => Some(0.0),
            Logprobs::Allowed => Some((f64::from(logits[id as usize]) - row.log_sum_exp(max)) as f32),
            Logprobs::Raw => {
                let original = self.scratch.originals.iter().find(|(changed, _)| *changed == id);
                let logit = original.map_or(logits[id as usize], |(_, logit)| *logit);
                raw.map(|lse| (f64::from(logit) - lse) as f32)
            }
        };
        Ok(Picked { id, logprob, allowed, overruled })
    }
}

impl SliceBackend<'_> {
    /// Bias, then penalties, in place.
    fn adjust(&mut self, pick: &Pick<'_>) {
        let originals = &mut self.scratch.originals;
        originals.clear();
        let keep = pick.logprobs == Logprobs::Raw;
        let mut edit = |id: u32, f: &dyn Fn(f32) -> f32| {
            if let Some(logit) = self.logits.get_mut(id as usize) {
                if keep {
                    originals.push((id, *logit));
                }
                *logit = f(*logit);
            }
        };
        for &(id, bias) in pick.bias {
            edit(id, &|logit| logit + bias);
        }
        for penalty in pick.penalties {
            edit(penalty.id, &|logit| penalty.apply(logit));
        }
    }
}

/// The allowed part of a row.
struct Row<'a> {
    logits: &'a [f32],
    mask: Option<&'a [u32]>,
}

impl Row<'_> {
    /// The mask word and the logits of each group of 32 ids that allows any.
    #[inline]
    fn groups(&self) -> impl Iterator<Item = (usize, u32, &[f32])> {
        let width = self.logits.len();
        self.logits
            .chunks(32)
            .enumerate()
            .map(move |(w, group)| (w, word(self.mask, w, width), group))
            .filter(|(_, bits, _)| *bits != 0)
    }

    /// The id of a row that allows one.
    fn only(&self) -> (u32, f32) {
        self.groups().next().map_or((0, 0.0), |(w, bits, group)| {
            (w as u32 * 32 + bits.trailing_zeros(), group[bits.trailing_zeros() as usize])
        })
    }

    /// The most likely allowed id and its logit; the lowest id on a tie.
    fn best(&self, allowed: u32) -> Result<(u32, f32), SampleError> {
        let (mut best, mut max) = (0, f32::NEG_INFINITY);
        let mut broken = false;
        for (w, bits, group) in self.groups() {
            if bits == !0 && group.len() == 32 {
                // The maximum of a whole group vectorises; its place is looked up only when it wins.
                let mut top = f32::NEG_INFINITY;
                for &logit in group {
                    broken |= logit.is_nan();
                    top = if logit > top { logit } else { top };
                }
                if top > max {
                    max = top;
                    best = w as u32 * 32 + group.iter().position(|&logit| logit == top).unwrap_or(0) as u32;
                }
            } else {
                for bit in Bits(bits) {
                    let logit = group[bit as usize];
                    broken |= logit.is_nan();
                    if logit > max {
                        (best, max) = (w as u32 * 32 + bit, logit);
                    }
                }
            }
        }
        if broken || max == f32::INFINITY {
            let bad = |logit: f32| logit.is_nan() || logit == f32::INFINITY;
            let mut ids = self.ids();
            let id = ids.find(|&id| bad(self.logits[id as usize])).unwrap_or(0);
            return Err(SampleError::NotFinite { id, value: self.logits[id as usize] });
        }
        if max == f32::NEG_INFINITY {
            return Err(SampleError::NothingPossible { allowed });
        }
        Ok((best, max))
    }

    fn ids(&self) -> impl Iterator<Item = u32> {
        self.groups().flat_map(|(w, bits, _)| Bits(bits).map(move |bit| w as u32 * 32 + bit))
    }

    fn log_sum_exp(&self, max: f32) -> f64 {
        let total: f64 = self.groups().map(|(_, bits, group)| weights(bits, group, &Weigh::plain(max))).sum();
        f64::from(max) + total.ln()
    }
}

/// Over a row that may hold anything; NaN where the row does.
fn log_sum_exp(row: &Row<'_>) -> f64 {
    match row.best(u32::MAX) {
        Ok((_, max)) => row.log_sum_exp(max),
        Err(SampleError::NothingPossible { .. }) => f64::NEG_INFINITY,
        Err(_) => f64::NAN,
    }
}

/// How a logit becomes a weight: `exp((logit - max) * scale)`, 0 below `floor`.
struct Weigh {
    max: f32,
    scale: f32,
    /// Lowest tempered logit, relative to the maximum, that counts.
    floor: f32,
}

impl Weigh {
    fn plain(max: f32) -> Self {
        Self { max, scale: 1.0, floor: f32::NEG_INFINITY }
    }

    #[inline]
    fn x(&self, logit: f32) -> f32 {
        (logit - self.max) * self.scale
    }

    #[inline]
    fn weight(&self, logit: f32) -> f32 {
        let x = self.x(logit);
        let e = exp_neg(x);
        if x >= self.floor { e } else { 0.0 }
    }
}

/// Sum of the weights of one group.
#[inline]
fn weights(bits: u32, group: &[f32], weigh: &Weigh) -> f64 {
    if bits == !0 && group.len() == 32 {
        let mut lanes = [0.0f32; 8];
        for eight in group.chunks_exact(8) {
            for (lane, &logit) in lanes.iter_mut().zip(eight) {
                *lane += weigh.weight(logit);
            }
        }
        lanes.iter().map(|&lane| f64::from(lane)).sum()
    } else {
        Bits(bits).map(|bit| f64::from(weigh.weight(group[bit as usize]))).sum()
    }
}

/// Temperature, top-k, top-p, min-p and the draw. At least two ids are allowed and `max` is finite.
fn draw(row: &Row<'_>, max: f32, pick: &Pick<'_>, scratch: &mut Scratch) -> u32 {
    let floor = if pick.min_p > 0.0 { pick.min_p.ln() } else { f32::NEG_INFINITY };
    // A temperature next to 0 has no finite inverse; the largest number keeps 0 * scale at 0.
    let scale = (1.0 / pick.temperature).min(f32::MAX);
    let mut weigh = Weigh { max, scale, floor: f32::NEG_INFINITY };
    let candidates = &mut scratch.candidates;
    candidates.clear();

    if pick.top_k > 0 && (pick.top_k as usize) < row.logits.len() {
        top_k(row, &weigh, pick.top_k as usize, candidates);
        let total: f64 = candidates.iter().map(|c| f64::from(exp_neg(c.x))).sum();
        if pick.top_p < 1.0 {
            let kept = reaching(candidates, total * f64::from(pick.top_p));
            candidates.truncate(kept);
        }
        candidates.retain(|candidate| candidate.x >= floor);
        return draw_from(candidates, pick.draw);
    }
    if pick.top_p < 1.0 {
        top_p(row, &weigh, f64::from(pick.top_p), scratch);
        scratch.candidates.retain(|candidate| candidate.x >= floor);
        return draw_from(&scratch.candidates, pick.draw);
    }
    weigh.floor = floor;
    draw_unranked(row, &weigh, pick.draw, &mut scratch.sums)
}

/// Collects the `k` most likely ids, in order of rank. Linear: the list is cut each time it doubles.
fn top_k(row: &Row<'_>, weigh: &Weigh, k: usize, out: &mut Vec<Candidate>) {
    let full = 2 * k + 64;
    let mut least = f32::NEG_INFINITY;
    for (w, bits, group) in row.groups() {
        for bit in Bits(bits) {
            let x = weigh.x(group[bit as usize]);
            // Ids ascend, so an equal one that comes later has lost; before the first cut all enter.
            if x > least {
                out.push(Candidate { id: w as u32 * 32 + bit, x });
                if out.len() == full {
                    out.select_nth_unstable_by(k - 1, by_rank);
                    out.truncate(k);
                    least = out[k - 1].x;
                }
            }
        }
    }
    out.sort_unstable_by(by_rank);
    out.truncate(k);
}

/// Number of bins that [`top_p`] sorts candidates into.
const BINS: usize = 256;

/// Collects the smallest set of most likely ids that weighs `share` of all, in no order of rank but
/// always the same. Linear: only the candidates around the cut are sorted.
fn top_p(row: &Row<'_>, weigh: &Weigh, share: f64, scratch: &mut Scratch) {
    let Scratch { candidates, border, sums, .. } = scratch;
    sums.clear();
    sums.extend(row.groups().map(|(_, bits, group)| weights(bits, group, weigh)));
    let total: f64 = sums.iter().sum();
    // All ids below (1 - p) / n together weigh less than 1 - p, so none of them is needed to reach p.
    // The factor keeps rounding on the safe side.
    let least = (total * (1.0 - share) / row.logits.len() as f64 * 0.99).ln().min(0.0) as f32;
    for (w, bits, group) in row.groups() {
        for bit in Bits(bits) {
            let x = weigh.x(group[bit as usize]);
            if x >= least {
                candidates.push(Candidate { id: w as u32 * 32 + bit, x });
            }
        }
    }
    let bins_per_unit = BINS as f32 / (-least).max(f32::MIN_POSITIVE);
    let bin = |candidate: &Candidate| ((-candidate.x * bins_per_unit) as usize).min(BINS - 1);
    let mut bins = [0.0; BINS];
    for candidate in candidates.iter() {
        bins[bin(candidate)] += f64::from(exp_neg(candidate.x));
    }
    let (mut cut, mut above) = (0, 0.0);
    while cut < BINS - 1 && above + bins[cut] < total * share {
        above += bins[cut];
        cut += 1;
    }
    border.clear();
    border.extend(candidates.iter().filter(|candidate| bin(candidate) == cut));
    border.sort_unstable_by(by_rank);
    let kept = reaching(border, total * share - above);
    candidates.retain(|candidate| bin(candidate) < cut);
    candidates.extend(&border[..kept]);
}

/// How many of the candidates, in order, it takes to weigh `wanted`; at least one, where there is one.
fn reaching(candidates: &[Candidate], wanted: f64) -> usize {
    let mut sum = 0.0;
    let enough = candidates.iter().position(|candidate| {
        sum += f64::from(exp_neg(candidate.x));
        sum >= wanted
    });
    enough.map_or(candidates.len(), |last| last + 1)
}

/// The draw among candidates.
fn draw_from(candidates: &[Candidate], draw: f64) -> u32 {
    let weight = |candidate: &Candidate| f64::from(exp_neg(candidate.x));
    let target = draw * candidates.iter().map(weight).sum::<f64>();
    let mut passed = 0.0;
    let hit = candidates.iter().find(|candidate| {
        passed += weight(candidate);
        passed > target
    });
    // One is always hit: `target` is below the sum, and both sums add the same numbers in the same
    // order. The most likely id is always among the candidates.
    hit.or(candidates.first()).map_or(0, |candidate| candidate.id)
}

/// The draw in order of ids: first the group, then the id within it.
fn draw_unranked(row: &Row<'_>, weigh: &Weigh, draw: f64, sums: &mut Vec<f64>) -> u32 {
    sums.clear();
    sums.extend(row.groups().map(|(_, bits, group)| weights(bits, group, weigh)));
    let mut left = draw * sums.iter().sum::<f64>();
    let mut last = None;
    for ((w, bits, group), &sum) in row.groups().zip(sums.iter()) {
        if sum == 0.0 {
            continue;
        }
        if left >= sum {
            left -= sum;
            last = Some((w, bits, group));
            continue;
        }
        return within(w, bits, group, weigh, left);
    }
    // Rounding ran past the end: the last id with any weight.
    last.map_or(0, |(w, bits, group)| within(w, bits, group, weigh, f64::INFINITY))
}

/// The id in a group whose running weight passes `left`; the last one with any weight if none does.
fn within(w: usize, bits: u32, group: &[f32], weigh: &Weigh, mut left: f64) -> u32 {
    let mut id = w as u32 * 32 + bits.trailing_zeros();
    for bit in Bits(bits) {
        let weight = f64::from(weigh.weight(group[bit as usize]));
        if weight > 0.0 {
            id = w as u32 * 32 + bit;
            if left < weight {
                break;
            }
            left -= weight;
        }
    }
    id
}
