//! What renders gave, and how two engines' renders compare.

/// What a render gave.
#[derive(PartialEq, Eq, Clone)]
pub(super) enum Outcome {
    Text(String),
    Refused(String),
    Error(String),
}

/// Key of a render: template, conversation, add_generation_prompt.
pub(super) type Key = (String, String, bool);

/// Prints where two renders part.
pub(super) fn show_difference(key: &Key, theirs: &Outcome, ours: &Outcome) {
    let describe = |outcome: &Outcome| match outcome {
        Outcome::Text(text) => ("text", text.clone()),
        Outcome::Refused(message) => ("refused", message.clone()),
        Outcome::Error(message) => ("error", message.clone()),
    };
    let (a, b) = (describe(theirs), describe(ours));
    let same = a.1.chars().zip(b.1.chars()).take_while(|(x, y)| x == y).count();
    let window = |text: &str| text.chars().skip(same.saturating_sub(40)).take(160).collect::<String>();
    println!("  {} / {} / add_generation_prompt={}", key.0, key.1, key.2);
    println!("    theirs {:<8}{:?}", a.0, window(&a.1));
    println!("    ours   {:<8}{:?}", b.0, window(&b.1));
}

/// Counts of outcomes, jinja2's against ours.
#[derive(Default)]
pub(super) struct Tally {
    equal: usize,
    different: usize,
    our_error: usize,
    both_refuse: usize,
    only_ours: usize,
    both_fail: usize,
}

impl Tally {
    pub(super) const HEAD: &str = " equal  differ  we fail  both refuse  both fail  only we can";

    /// Counts one render; true when it is as it should be.
    pub(super) fn add(&mut self, theirs: &Outcome, ours: &Outcome) -> bool {
        let counter = match (theirs, ours) {
            (Outcome::Text(a), Outcome::Text(b)) if a == b => &mut self.equal,
            (Outcome::Text(_), Outcome::Text(_)) => &mut self.different,
            (Outcome::Text(_), _) => &mut self.our_error,
            (Outcome::Refused(_), Outcome::Refused(_)) => &mut self.both_refuse,
            (_, Outcome::Text(_)) => &mut self.only_ours,
            _ => &mut self.both_fail,
        };
        *counter += 1;
        !matches!((theirs, ours), (Outcome::Text(_), b) if b != theirs)
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.equal += other.equal;
        self.different += other.different;
        self.our_error += other.our_error;
        self.both_refuse += other.both_refuse;
        self.only_ours += other.only_ours;
        self.both_fail += other.both_fail;
    }

    pub(super) fn possible(&self) -> usize {
        self.equal + self.different + self.our_error
    }

    pub(super) fn percent(&self) -> f64 {
        100.0 * self.equal as f64 / self.possible().max(1) as f64
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:>6}{:>8}{:>9}{:>13}{:>11}{:>13}",
            self.equal, self.different, self.our_error, self.both_refuse, self.both_fail, self.only_ours
        )
    }
}
