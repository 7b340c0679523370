//! What came out, as Markdown.

use crate::work::{Item, Outcome};
use std::fmt::Write;

/// One engine's outcomes, one per schema; `None` where it took too long.
pub struct Row {
    /// The engine.
    pub engine: String,
    /// By schema.
    pub outcomes: Vec<Option<Outcome>>,
}

impl Row {
    /// Takes the lesser times of two passes.
    pub fn least(&mut self, other: Row) {
        for (mine, other) in self.outcomes.iter_mut().zip(other.outcomes) {
            let (Some(mine), Some(other)) = (mine.as_mut(), other) else { continue };
            let least = |a: &mut Vec<u64>, b: &[u64]| a.iter_mut().zip(b).for_each(|(a, &b)| *a = b.min(*a));
            mine.compile = mine.compile.min(other.compile);
            mine.first = mine.first.min(other.first);
            mine.again = mine.again.min(other.again);
            least(&mut mine.matchers, &other.matchers);
            least(&mut mine.masks, &other.masks);
            least(&mut mine.accepts, &other.accepts);
        }
    }
}

/// Times or sizes of one kind, sorted.
struct Sample(Vec<u64>);

impl Sample {
    fn new(mut values: Vec<u64>) -> Sample {
        values.sort_unstable();
        Sample(values)
    }

    fn at(&self, part: f64) -> f64 {
        let index = ((self.0.len() as f64 * part).ceil() as usize).clamp(1, self.0.len().max(1)) - 1;
        self.0.get(index).map_or(f64::NAN, |&v| v as f64 / 1e3)
    }

    fn mean(&self) -> f64 {
        self.0.iter().sum::<u64>() as f64 / 1e3 / self.0.len() as f64
    }
}

fn number(value: f64) -> String {
    match value {
        v if v.is_nan() => "-".into(),
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

fn line(out: &mut String, cells: impl IntoIterator<Item = String>) {
    let cells: Vec<String> = cells.into_iter().collect();
    // Writing to a string cannot fail.
    let _ = writeln!(out, "| {} |", cells.join(" | "));
}

/// The report over all sections of a job.
pub fn report(items: &[Item], rows: &[Row]) -> String {
    let mut out = String::new();
    let mut sections: Vec<&str> = Vec::new();
    for item in items {
        if !sections.contains(&item.section.as_str()) {
            sections.push(&item.section);
        }
    }
    for section in sections {
        let mine: Vec<usize> = (0..items.len()).filter(|&i| items[i].section == section).collect();
        let _ = writeln!(out, "\n## {section}: {} schemas, microseconds\n", mine.len());
        summary(&mut out, rows, &mine);
        let right = |row: &Row, i: usize| row.outcomes[i].as_ref().is_some_and(entirely_right);
        let common: Vec<usize> =
            mine.iter().copied().filter(|&i| rows.iter().all(|row| right(row, i))).collect();
        if common.len() < mine.len() && rows.len() > 1 {
            let _ = writeln!(out, "\n### The {} that every engine gets entirely right\n", common.len());
            summary(&mut out, rows, &common);
        }
        if mine.len() <= 60 {
            let _ = writeln!(out, "\n### Each: compile ms; masks: mean / p50 / p99 / max\n");
            each(&mut out, items, rows, &mine);
        }
    }
    out
}

fn entirely_right(outcome: &Outcome) -> bool {
    outcome.refused.is_none() && outcome.refuses.is_empty() && outcome.lets_through == 0
}

fn summary(out: &mut String, rows: &[Row], of: &[usize]) {
    let names = rows.iter().map(|row| row.engine.clone());
    let ratios = rows.iter().skip(1).map(|row| format!("{} ÷ {}", row.engine, rows[0].engine));
    let header: Vec<String> = std::iter::once(String::new()).chain(names).chain(ratios).collect();
    let columns = header.len();
    line(out, header);
    line(out, (0..columns).map(|i| if i == 0 { "---" } else { "---:" }.to_string()));

    let seen = |row: &Row| of.iter().filter_map(|&i| row.outcomes[i].as_ref()).collect::<Vec<_>>().len();
    let done = |row: &Row| -> Vec<usize> {
        let compiled = |&i: &usize| row.outcomes[i].as_ref().is_some_and(|o| o.refused.is_none());
        of.iter().copied().filter(compiled).collect()
    };
    let sum = |row: &Row, what: fn(&Outcome) -> usize| -> usize {
        done(row).iter().filter_map(|&i| row.outcomes[i].as_ref()).map(what).sum()
    };
    let mut counts = |name: &str, cell: &dyn Fn(&Row) -> String| {
        let cells = rows.iter().map(cell);
        let rest = (1..rows.len()).map(|_| String::new());
        line(out, std::iter::once(name.to_string()).chain(cells).chain(rest));
    };
    counts("compiled", &|row| done(row).len().to_string());
    counts("refused / too slow", &|row| {
        format!("{} / {}", seen(row) - done(row).len(), of.len() - seen(row))
    });
    counts("every output right", &|row| {
        of.iter().filter(|&&i| row.outcomes[i].as_ref().is_some_and(entirely_right)).count().to_string()
    });
    counts("valid outputs refused", &|row| {
        format!("{} of {}", sum(row, |o| o.refuses.len()), sum(row, |o| o.valid))
    });
    counts("invalid outputs let through", &|row| {
        format!("{} of {}", sum(row, |o| o.lets_through), sum(row, |o| o.invalid))
    });
    counts("masks", &|row| sum(row, |o| o.masks.len()).to_string());

    type Values = fn(&Outcome) -> Vec<u64>;
    let samples = |values: Values| -> Vec<Sample> {
        let all =
            |row: &Row| done(row).iter().filter_map(|&i| row.outcomes[i].as_ref()).flat_map(values).collect();
        rows.iter().map(|row| Sample::new(all(row))).collect()
    };
    type Parts = &'static [(&'static str, f64)];
    let kinds: [(&str, Values, Parts); 7] = [
        ("compile", |o| vec![o.compile], &[("p50", 0.5), ("p99", 0.99), ("max", 1.0)]),
        ("first mask", |o| vec![o.first], &[("p50", 0.5), ("p99", 0.99), ("max", 1.0)]),
        ("same schema again", |o| vec![o.again], &[("p50", 0.5), ("p99", 0.99)]),
        ("new matcher", |o| o.matchers.clone(), &[("p50", 0.5), ("p99", 0.99)]),
        (
            "mask",
            |o| o.masks.clone(),
            &[("mean", -1.0), ("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)],
        ),
        ("accept", |o| o.accepts.clone(), &[("p50", 0.5), ("p99", 0.99), ("max", 1.0)]),
        (
            "heap per schema, KiB",
            |o| vec![o.heap as u64 * 1000 / 1024],
            &[("p50", 0.5), ("p99", 0.99), ("max", 1.0)],
        ),
    ];
    for (name, values, parts) in kinds {
        let samples = samples(values);
        for &(label, part) in parts {
            let cell = |sample: &Sample| if part < 0.0 { sample.mean() } else { sample.at(part) };
            let values: Vec<f64> = samples.iter().map(cell).collect();
            let ratios = values.iter().skip(1).map(|v| {
                let ratio = v / values[0];
                if ratio.is_finite() { format!("{}×", number(ratio)) } else { "-".into() }
            });
            let cells = values.iter().map(|&v| number(v));
            line(out, std::iter::once(format!("{name} {label}")).chain(cells).chain(ratios));
        }
    }
}

fn each(out: &mut String, items: &[Item], rows: &[Row], of: &[usize]) {
    line(out, std::iter::once("schema".to_string()).chain(rows.iter().map(|row| row.engine.clone())));
    line(out, (0..=rows.len()).map(|_| "---".to_string()));
    for &i in of {
        let cells = rows.iter().map(|row| match &row.outcomes[i] {
            None => "too slow".to_string(),
            Some(o) if o.refused.is_some() => "refused".to_string(),
            Some(o) => {
                let masks = Sample::new(o.masks.clone());
                let part = |at| number(masks.at(at));
                let verdict = match () {
                    () if !o.refuses.is_empty() => " REFUSES A VALID OUTPUT",
                    () if o.lets_through > 0 => " lets invalid ones through",
                    () => "",
                };
                let compile = number(o.compile as f64 / 1e6);
                let (count, mean) = (o.masks.len(), number(masks.mean()));
                format!(
                    "{compile}; {count}: {mean} / {} / {} / {}{verdict}",
                    part(0.5),
                    part(0.99),
                    part(1.0)
                )
            }
        });
        line(out, std::iter::once(items[i].name.clone()).chain(cells));
    }
}
