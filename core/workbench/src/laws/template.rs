//! Law 6: the chat template and the format are one.

use proptest::prelude::*;
use toolglot::Family;
use toolglot::format::Turn;
use toolglot::parsers::{PrintError, print};

use super::{Trial, assert_same, fail, hold, holds_marker, parse_text, plan};
use crate::sample::{Sample, sample};
use crate::template::Writer;

pub(super) fn template_reads_back(family: &dyn Family, trial: &Trial) -> Result<(), String> {
    let writer = Writer::new(family)?;
    writer.check_prompt()?;
    hold(trial, &sample(0..3), |Sample { tools, mut turn }| {
        writer.fit(&mut turn);
        prop_assume!(turn != Turn::default());
        prop_assume!(!holds_marker(family, &turn.content) && !holds_marker(family, &turn.reasoning));
        // Text in front of a call that runs into its marker has no reading that is right.
        let printed = print(&family.manifest().format, &plan(tools.clone()), &turn);
        prop_assume!(!matches!(printed, Err(PrintError::Marker { .. })));
        let body = writer.body(&tools, &mut turn).or_else(fail)?;
        let events = parse_text(family, &plan(tools), &body)?;
        assert_same(&events, &turn, &body)
    })
}
