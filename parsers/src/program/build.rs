//! From leaves to states and regions (the subset construction over literals).

use std::collections::BTreeMap;

use toolglot_format::{
    Args, Channel, ElementsArgs, Escape, Format, FormatError, Lit, Member, MemberValue, NameNode,
};

use super::leaves::{Edge, LeafId, LeafKind, Leaves};
use super::{
    Action, ElementEnd, ElementRules, Entry, Expected, Fallback, Literal, Markers, NameRules, Named, Program,
    Region, RegionId, RegionKind, State, StateId, To, Unmarked,
};

/// More states than any real format has; stops an adversarial one.
const MAX_STATES: usize = 4096;

pub(super) fn build(format: &Format) -> Result<Program, FormatError> {
    let leaves = Leaves::new(&format.with_loose_lists());
    let has_extern = leaves.all.iter().any(|leaf| leaf.kind == LeafKind::Extern);
    let mut builder = Builder {
        leaves: &leaves,
        states: Vec::new(),
        state_ids: BTreeMap::new(),
        regions: Vec::new(),
        region_ids: BTreeMap::new(),
        actions: Vec::new(),
    };
    builder.state(&[]);
    let (mut states, mut regions) = (Vec::new(), Vec::new());
    loop {
        if states.len() < builder.states.len() {
            let key = builder.states[states.len()].clone();
            let state = builder.build_state(&key);
            states.push(state);
        } else if regions.len() < builder.regions.len() {
            let key = builder.regions[regions.len()].clone();
            let region = builder.build_region(&key);
            regions.push(region);
        } else {
            break;
        }
        if states.len() + regions.len() > MAX_STATES || leaves.all.len() > usize::from(u16::MAX) {
            return Err(FormatError {
                path: "format".into(),
                why: "too many alternatives begin alike; put what they share before the choice".into(),
            });
        }
    }
    Ok(Program { states, regions, actions: builder.actions, has_extern, wrappers: wrappers(format) })
}

fn wrappers(format: &Format) -> Vec<String> {
    let own = match format {
        Format::Args(Args::Tagged(tagged)) => tagged.wrappers.clone(),
        _ => Vec::new(),
    };
    own.into_iter().chain(format.children().into_iter().flat_map(wrappers)).collect()
}

/// A leaf that may come next.
#[derive(Debug, Clone)]
struct Candidate {
    leaf: LeafId,
    ends: bool,
    starts: bool,
    /// The white space nodes passed on the way.
    ws: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Text(bool),
    Unfit,
    Junk,
    Name,
    Id,
    Key,
    Type,
    Value,
    Json,
    Marked,
    Python,
    Raw,
    Elements,
    Object,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct RegionKey {
    kind: Kind,
    leaves: Vec<LeafId>,
    /// For values: the white space before it.
    lead: String,
}

struct Builder<'a> {
    leaves: &'a Leaves,
    states: Vec<Vec<LeafId>>,
    state_ids: BTreeMap<Vec<LeafId>, StateId>,
    regions: Vec<RegionKey>,
    region_ids: BTreeMap<RegionKey, RegionId>,
    actions: Vec<Action>,
}

impl Builder<'_> {
    fn state(&mut self, leaves: &[LeafId]) -> StateId {
        if let Some(&id) = self.state_ids.get(leaves) {
            return id;
        }
        let id = self.states.len() as StateId;
        self.states.push(leaves.to_vec());
        self.state_ids.insert(leaves.to_vec(), id);
        id
    }

    fn region(&mut self, kind: Kind, leaves: Vec<LeafId>, lead: String) -> RegionId {
        let key = RegionKey { kind, leaves, lead };
        if let Some(&id) = self.region_ids.get(&key) {
            return id;
        }
        let id = self.regions.len() as RegionId;
        self.regions.push(key.clone());
        self.region_ids.insert(key, id);
        id
    }

    fn action(&mut self, action: Action) -> u16 {
        let known = self.actions.iter().position(|known| *known == action);
        known.unwrap_or_else(|| {
            self.actions.push(action);
            self.actions.len() - 1
        }) as u16
    }

    fn edges(&self, leaves: &[LeafId]) -> Vec<Edge> {
        if leaves.is_empty() {
            return self.leaves.first.clone();
        }
        leaves.iter().flat_map(|&leaf| self.leaves.all[usize::from(leaf)].next.iter().copied()).collect()
    }

    fn candidates(&self, leaves: &[LeafId]) -> Vec<Candidate> {
        let mut out = Vec::new();
        let mut seen = Vec::new();
        for edge in self.edges(leaves) {
            let start = Candidate { leaf: edge.to, ends: edge.ends, starts: edge.starts, ws: None };
            self.expand(start, &mut seen, &mut out);
        }
        out
    }

    /// Passes white space nodes.
    fn expand(&self, at: Candidate, seen: &mut Vec<(LeafId, bool, bool, bool)>, out: &mut Vec<Candidate>) {
        let key = (at.leaf, at.ends, at.starts, at.ws.is_some());
        if seen.contains(&key) {
            return;
        }
        seen.push(key);
        let leaf = &self.leaves.all[usize::from(at.leaf)];
        let LeafKind::Ws(text) = &leaf.kind else {
            out.push(at);
            return;
        };
        for edge in &leaf.next {
            let ws = at.ws.clone().unwrap_or_default() + text;
            let next = Candidate {
                leaf: edge.to,
                ends: at.ends || edge.ends,
                // A call that began and ended within white space is none.
                starts: edge.starts || (at.starts && !edge.ends),
                ws: Some(ws),
            };
            self.expand(next, seen, out);
        }
    }

    /// Every leaf that can come later, the nearer first. In another call than the present one only its
    /// first leaves count.
    fn reachable(&self, leaves: &[LeafId]) -> Vec<Candidate> {
        let mut out: Vec<Candidate> = Vec::new();
        let calls: Vec<_> = leaves.iter().map(|&leaf| self.leaves.all[usize::from(leaf)].call).collect();
        // Leaf, whether the present call has ended before it, and whether another has just begun.
        let mut queue: Vec<(LeafId, bool, bool)> = Vec::new();
        let mut seen = vec![false; 4 * self.leaves.all.len()];
        let mut push = |edge: &Edge, ended: bool, began: bool, queue: &mut Vec<(LeafId, bool, bool)>| {
            let ends = ended || edge.ends;
            let starts = edge.starts || began && !edge.ends;
            let at = 4 * usize::from(edge.to) + 2 * usize::from(ends) + usize::from(starts);
            if std::mem::replace(&mut seen[at], true) {
                return;
            }
            let leaf = &self.leaves.all[usize::from(edge.to)];
            // A call that begins with white space begins with what is behind it, too.
            queue.push((edge.to, ends, starts && matches!(leaf.kind, LeafKind::Ws(_))));
            let same = !ends && calls.contains(&leaf.call);
            if same || starts || leaf.call.is_none() {
                out.push(Candidate { leaf: edge.to, ends, starts, ws: Some(String::new()) });
            }
        };
        self.edges(leaves).iter().for_each(|edge| push(edge, false, false, &mut queue));
        let mut next = 0;
        while let Some(&(leaf, ended, began)) = queue.get(next) {
            next += 1;
            let edges = &self.leaves.all[usize::from(leaf)].next;
            edges.iter().for_each(|edge| push(edge, ended, began, &mut queue));
        }
        out
    }

    /// The spellings of a literal leaf; `named`: names that are listed count as literals.
    fn spellings(&self, leaf: LeafId, named: bool) -> Vec<(String, bool)> {
        match &self.leaves.all[usize::from(leaf)].kind {
            LeafKind::Lit(lit) => lit.spellings().map(|text| (text.to_owned(), lit.special)).collect(),
            LeafKind::Name(node) if named => node.only.iter().map(|name| (name.clone(), false)).collect(),
            _ => Vec::new(),
        }
    }

    /// The literals that `candidates` begin with, one per spelling. `exact_ws`: white space counts only as
    /// the template writes it, as part of the literal.
    fn literals(
        &mut self,
        candidates: &[Candidate],
        exact_ws: bool,
        keep: &dyn Fn(&str, bool) -> bool,
    ) -> Vec<Literal> {
        let free_name = candidates.iter().any(|candidate| self.is_free_name(candidate.leaf));
        let mut groups: Vec<(String, bool, Vec<Candidate>)> = Vec::new();
        for candidate in candidates {
            for (text, special) in self.spellings(candidate.leaf, !free_name) {
                if !keep(&text, special) {
                    continue;
                }
                let mut texts = vec![text.clone()];
                if let (true, Some(ws)) = (exact_ws, &candidate.ws)
                    && !ws.is_empty()
                {
                    texts.insert(0, format!("{ws}{text}"));
                }
                for text in texts {
                    match groups.iter_mut().find(|group| group.0 == text) {
                        Some(group) => {
                            group.1 &= special;
                            group.2.push(candidate.clone());
                        }
                        None => groups.push((text, special, vec![candidate.clone()])),
                    }
                }
            }
        }
        let mut out = Vec::new();
        for (text, special, mut group) in groups {
            let ends = group[0].ends;
            group.retain(|candidate| candidate.ends == ends);
            let mut leaves: Vec<LeafId> = Vec::new();
            group.iter().for_each(|candidate| {
                if !leaves.contains(&candidate.leaf) {
                    leaves.push(candidate.leaf);
                }
            });
            let first = &self.leaves.all[usize::from(leaves[0])].kind;
            let action = Action {
                to: To::State(0),
                ws: !exact_ws && group.iter().any(|candidate| candidate.ws.is_some()),
                ends,
                starts: group.iter().any(|candidate| candidate.starts),
                marker: is_distinctive(&text, special),
                closes: leaves.iter().all(|&leaf| self.leaves.all[usize::from(leaf)].closes),
                weak: !is_distinctive(&text, special) && !self.leaves.all[usize::from(leaves[0])].closes,
                name: matches!(first, LeafKind::Name(_)),
            };
            let to = To::State(self.state(&leaves));
            let action = self.action(Action { to, ..action });
            out.push(Literal { entry: Entry { text: text.into_bytes(), action }, special });
        }
        out
    }

    fn is_free_name(&self, leaf: LeafId) -> bool {
        matches!(&self.leaves.all[usize::from(leaf)].kind, LeafKind::Name(node) if node.only.is_empty())
    }

    /// Whether a call may begin with the candidate in text, though no marker announces it.
    fn is_unmarked(&self, candidate: &Candidate) -> bool {
        candidate.starts
            && matches!(&self.leaves.all[usize::from(candidate.leaf)].kind, LeafKind::Name(node) if node.offered)
    }

    /// Whether nothing but calls without a marker come with the leaf, or with the framing that it is.
    fn leads_to_unmarked(&self, leaf: LeafId, starts: bool, depth: usize) -> bool {
        /// More framing in front of such a call than any format has.
        const DEEPEST: usize = 4;
        let leaf = &self.leaves.all[usize::from(leaf)];
        match &leaf.kind {
            LeafKind::Name(node) => starts && node.offered,
            LeafKind::Object(members) => {
                starts && members.iter().any(|member| member.is == MemberValue::OfferedName)
            }
            LeafKind::Lit(lit) if lit.spellings().any(|text| is_distinctive(text, lit.special)) => false,
            LeafKind::Lit(_) | LeafKind::Ws(_) => {
                let inner = |edge: &Edge| self.leads_to_unmarked(edge.to, edge.starts, depth + 1);
                depth < DEEPEST && leaf.call.is_none() && !leaf.next.is_empty() && leaf.next.iter().all(inner)
            }
            _ => false,
        }
    }

    /// The calls that begin with nothing but a name, among what may come in text.
    fn unmarked(&mut self, candidates: &[Candidate]) -> Option<Unmarked> {
        let mut leaves: Vec<LeafId> = Vec::new();
        for candidate in candidates.iter().filter(|candidate| self.is_unmarked(candidate)) {
            if !leaves.contains(&candidate.leaf) {
                leaves.push(candidate.leaf);
            }
        }
        let next = if leaves.is_empty() { Vec::new() } else { self.candidates(&leaves) };
        let spelled = next.iter().flat_map(|candidate| self.spellings(candidate.leaf, false));
        let behind: Vec<_> =
            spelled.filter(|(_, special)| *special).map(|(text, _)| text.into_bytes()).collect();
        (!behind.is_empty())
            .then(|| Unmarked { name: self.region(Kind::Name, leaves, String::new()), behind })
    }

    /// Regions that a `{` announces.
    fn triggers(&mut self, candidates: &[Candidate]) -> Option<Literal> {
        let first = candidates.iter().find_map(|candidate| {
            let kind = self.kind(candidate.leaf)?;
            matches!(kind, Kind::Object | Kind::Json | Kind::Marked).then(|| (kind, candidate.clone()))
        });
        let (kind, first) = first?;
        let leaves = self.alike(candidates, kind, &first);
        let region = self.region(kind, leaves, String::new());
        let action = self.action(Action {
            ws: first.ws.is_some(),
            ends: first.ends,
            starts: first.starts,
            weak: true,
            ..Action::to(To::Region(region))
        });
        Some(Literal { entry: Entry { text: b"{".to_vec(), action }, special: false })
    }

    /// The leaves of `candidates` that are of the same kind as `first` and reached in the same way.
    fn alike(&self, candidates: &[Candidate], kind: Kind, first: &Candidate) -> Vec<LeafId> {
        let same = candidates.iter().filter(|candidate| {
            self.kind(candidate.leaf) == Some(kind)
                && candidate.ends == first.ends
                && candidate.starts == first.starts
        });
        let mut leaves: Vec<LeafId> = Vec::new();
        for candidate in same {
            if !leaves.contains(&candidate.leaf) {
                leaves.push(candidate.leaf);
            }
        }
        leaves
    }

    fn kind(&self, leaf: LeafId) -> Option<Kind> {
        Some(match &self.leaves.all[usize::from(leaf)].kind {
            LeafKind::Text(channel) => Kind::Text(*channel == Channel::Reasoning),
            LeafKind::Name(_) => Kind::Name,
            LeafKind::Id => Kind::Id,
            LeafKind::Key(_) => Kind::Key,
            LeafKind::Type(_) => Kind::Type,
            LeafKind::Value { .. } => Kind::Value,
            LeafKind::Json(None) => Kind::Json,
            LeafKind::Json(Some(_)) => Kind::Marked,
            LeafKind::Python => Kind::Python,
            LeafKind::Raw(_) => Kind::Raw,
            LeafKind::Elements(_) => Kind::Elements,
            LeafKind::Object(_) => Kind::Object,
            LeafKind::Lit(_) | LeafKind::Ws(_) | LeafKind::Extern => return None,
        })
    }

    /// Whether the call that the leaf stands in may end behind it: at once, or behind white space. With
    /// `stopped` its closing marker may be missing if that is a special token, which may have been the stop,
    /// and arguments that no marker opens may be missing.
    fn may_end(&self, leaf: LeafId, stopped: bool, depth: usize) -> bool {
        let leaf = &self.leaves.all[usize::from(leaf)];
        let passes = |edge: &Edge| {
            let leaf = &self.leaves.all[usize::from(edge.to)];
            match &leaf.kind {
                LeafKind::Ws(_) => true,
                LeafKind::Lit(lit) => stopped && lit.special && leaf.closes,
                LeafKind::Json(_) => stopped,
                _ => false,
            }
        };
        let mut next = leaf.next.iter();
        leaf.last
            || next.any(|edge| {
                edge.ends || depth < 8 && passes(edge) && self.may_end(edge.to, stopped, depth + 1)
            })
    }

    /// Whether every way on from the leaves passes a marker before the arguments or the end of the call.
    fn needs_marker(&self, leaves: &[LeafId]) -> bool {
        let mut queue = leaves.to_vec();
        let mut next = 0;
        while let Some(&leaf) = queue.get(next) {
            next += 1;
            let leaf = &self.leaves.all[usize::from(leaf)];
            if leaf.last {
                return false;
            }
            for edge in &leaf.next {
                let passes = match &self.leaves.all[usize::from(edge.to)].kind {
                    LeafKind::Lit(lit) => !lit.spellings().all(|text| is_distinctive(text, lit.special)),
                    LeafKind::Ws(_) | LeafKind::Name(_) | LeafKind::Id | LeafKind::Type(_) => true,
                    _ => return false,
                };
                if edge.ends {
                    return false;
                }
                if passes && !queue.contains(&edge.to) {
                    queue.push(edge.to);
                }
            }
        }
        true
    }

    /// Whether the leaf is a plain word: a tool's name can begin in the same way and go on.
    fn is_word(&self, leaf: LeafId) -> bool {
        match &self.leaves.all[usize::from(leaf)].kind {
            LeafKind::Lit(lit) => !lit.special && lit.spellings().all(is_identifier),
            _ => false,
        }
    }

    fn build_state(&mut self, leaves: &[LeafId]) -> State {
        let mut candidates = self.candidates(leaves);
        if candidates.iter().any(|candidate| self.kind(candidate.leaf) == Some(Kind::Text(false))) {
            // Text comes; what in it may be such a name shows there.
            candidates.retain(|candidate| !self.is_unmarked(candidate));
        }
        // Words beside a free name are told from it when it has ended.
        let name = candidates.iter().find(|candidate| self.is_free_name(candidate.leaf)).cloned();
        let mut words: Vec<LeafId> = Vec::new();
        if let Some(name) = name {
            candidates.retain(|candidate| {
                let word = candidate.ends == name.ends && !candidate.starts && self.is_word(candidate.leaf);
                if word {
                    words.push(candidate.leaf);
                }
                !word
            });
        }
        let mut entries = self.literals(&candidates, false, &|_, _| true);
        entries.extend(self.triggers(&candidates));
        let free_name = candidates.iter().any(|candidate| self.is_free_name(candidate.leaf));
        // Beside keys only `{` begins an object: what else stands in front of a key is junk.
        let keys = candidates.iter().any(|candidate| self.announces_key(candidate.leaf, 0));
        let free = candidates.iter().find_map(|candidate| {
            let kind = self.kind(candidate.leaf)?;
            if keys && matches!(kind, Kind::Json | Kind::Marked) {
                return None;
            }
            let only = matches!(&self.leaves.all[usize::from(candidate.leaf)].kind, LeafKind::Name(node) if !node.only.is_empty());
            (kind != Kind::Object && (free_name || !only)).then(|| (kind, candidate.clone()))
        });
        let fallback = free.map(|(kind, first)| {
            let lead = match kind {
                Kind::Value => first.ws.clone().unwrap_or_default(),
                _ => String::new(),
            };
            let mut alike = self.alike(&candidates, kind, &first);
            if kind == Kind::Name {
                alike.extend(&words);
            }
            Fallback {
                region: self.region(kind, alike, lead),
                ws: kind != Kind::Value && first.ws.is_some(),
                ends: first.ends,
                starts: first.starts,
            }
        });
        let in_call = leaves.iter().any(|&leaf| self.leaves.all[usize::from(leaf)].call.is_some());
        let goes_on = candidates
            .iter()
            .any(|candidate| !candidate.ends && self.leaves.all[usize::from(candidate.leaf)].call.is_some());
        let unfit = if in_call && goes_on { Kind::Junk } else { Kind::Unfit };
        let closes = |candidate: &Candidate| self.leaves.all[usize::from(candidate.leaf)].closes;
        let calls = |candidate: &Candidate| candidate.starts || self.announces_call(candidate.leaf, 0);
        let only_calls = !leaves.is_empty()
            && !in_call
            && candidates.iter().any(calls)
            && candidates.iter().all(|candidate| calls(candidate) || closes(candidate));
        State {
            ws: candidates.iter().any(|candidate| candidate.ws.is_some()),
            expected: Expected::new(entries),
            fallback,
            unfit: self.region(unfit, leaves.to_vec(), String::new()),
            block: only_calls.then(|| self.region(Kind::Junk, leaves.to_vec(), String::new())),
            in_call,
            call_over: in_call && !goes_on,
            needs_marker: in_call && self.needs_marker(leaves),
            ends: leaves.iter().any(|&leaf| self.may_end(leaf, false, 0)),
            ends_at_stop: leaves.iter().any(|&leaf| self.may_end(leaf, true, 0)),
        }
    }

    fn build_region(&mut self, key: &RegionKey) -> Region {
        let mut candidates = self.candidates(&key.leaves);
        let unmarked = match key.kind {
            Kind::Text(false) | Kind::Unfit => self.unmarked(&candidates),
            _ => None,
        };
        candidates.retain(|candidate| unmarked.is_none() || !self.is_unmarked(candidate));
        if key.kind == Kind::Text(true) {
            // Models think about calls, too.
            candidates.retain(|candidate| !self.leads_to_unmarked(candidate.leaf, candidate.starts, 0));
        }
        let exact_ws = key.kind == Kind::Value;
        let mut entries = match key.kind {
            Kind::Unfit => self.literals(&candidates, exact_ws, &is_distinctive),
            _ => {
                let mut entries = self.literals(&candidates, exact_ws, &|_, _| true);
                entries.extend(self.triggers(&candidates));
                entries
            }
        };
        match key.kind {
            Kind::Unfit | Kind::Junk => {
                let later = self.reachable(&key.leaves);
                let later = self.literals(&later, false, &is_distinctive);
                add(&mut entries, later);
                // Inside a call what only begins a turn is no marker.
                let start = if key.kind == Kind::Unfit { self.candidates(&[]) } else { Vec::new() };
                let mut start = self.literals(&start, false, &is_distinctive);
                for literal in &mut start {
                    let action = self.actions[usize::from(literal.entry.action)].clone();
                    literal.entry.action = self.action(Action { ends: true, ..action });
                }
                add(&mut entries, start);
            }
            Kind::Name | Kind::Id | Kind::Key | Kind::Type => {
                // A marker ends a name even where the format has something else before it.
                let later = self.reachable(&key.leaves);
                let mut later = self.literals(&later, false, &is_distinctive);
                let done = self.action(Action { ws: true, ..Action::to(To::Done) });
                later.iter_mut().for_each(|literal| literal.entry.action = done);
                add(&mut entries, later);
            }
            _ => {}
        }
        let leaf = key.leaves.first().map(|&leaf| self.leaves.all[usize::from(leaf)].kind.clone());
        if let Some(LeafKind::Elements(elements)) = &leaf {
            self.prefixes(&elements.prefix, &mut entries);
        }
        if let Some(LeafKind::Value { escape: Some(_), .. }) = &leaf {
            let entities = self.entities();
            add(&mut entries, entities);
        }
        if matches!(key.kind, Kind::Unfit | Kind::Text(false)) {
            let strays = self.strays();
            add(&mut entries, strays);
        }
        // Over all of them: white space is held back wherever one of them would take it.
        let ws =
            !exact_ws && entries.iter().any(|literal| self.actions[usize::from(literal.entry.action)].ws);
        let kind = match (key.kind, leaf.clone()) {
            (Kind::Text(reasoning), _) => {
                RegionKind::Text(if reasoning { Channel::Reasoning } else { Channel::Content })
            }
            (Kind::Unfit, _) => RegionKind::Text(Channel::Content),
            (Kind::Name, Some(LeafKind::Name(node))) => {
                let NameNode { header, escape, doubled, offered, .. } = node;
                RegionKind::Name(NameRules { header, escape, doubled, offered })
            }
            (Kind::Id, _) => RegionKind::Id,
            (Kind::Key, Some(LeafKind::Key(node))) => RegionKind::Key(node.escape),
            (Kind::Type, Some(LeafKind::Type(word))) => RegionKind::Type(word),
            (Kind::Value, Some(LeafKind::Value { quoted, escape })) => {
                RegionKind::Value { quoted, escape, lead: key.lead.clone() }
            }
            (Kind::Json | Kind::Marked, _) => RegionKind::Json,
            (Kind::Python, _) => RegionKind::Python,
            (Kind::Raw, Some(LeafKind::Raw(param))) => RegionKind::Raw(param),
            (Kind::Elements, Some(LeafKind::Elements(elements))) => RegionKind::Elements(ElementRules {
                ends: self.element_ends(&key.leaves, &elements.prefix),
                item: elements.item,
            }),
            (Kind::Object, _) => RegionKind::Object(self.members(&key.leaves)),
            _ => RegionKind::Junk,
        };
        let mut by_name: Vec<Named> = Vec::new();
        if let RegionKind::Name(_) = kind {
            let mut words: Vec<String> = Vec::new();
            for &leaf in &key.leaves {
                let spellings = self.spellings(leaf, false).into_iter().map(|(text, _)| text);
                words.extend(spellings.filter(|text| !words.contains(text)).collect::<Vec<_>>());
            }
            for word in words {
                let spelled =
                    |&leaf: &LeafId| self.spellings(leaf, false).iter().any(|(text, _)| *text == word);
                let same: Vec<LeafId> = key.leaves.iter().copied().filter(spelled).collect();
                let then = self.state(&same);
                by_name.push(Named { names: vec![word], then, word: true });
            }
            let mut lists: Vec<Vec<String>> = Vec::new();
            for &leaf in &key.leaves {
                if let LeafKind::Name(node) = &self.leaves.all[usize::from(leaf)].kind
                    && !lists.contains(&node.only)
                {
                    lists.push(node.only.clone());
                }
            }
            // Listed names first.
            lists.sort_by_key(Vec::is_empty);
            for list in lists {
                let same: Vec<LeafId> = key.leaves.iter().copied().filter(|&leaf| {
                    matches!(&self.leaves.all[usize::from(leaf)].kind, LeafKind::Name(node) if node.only == list)
                }).collect();
                let then = self.state(&same);
                by_name.push(Named { names: list, then, word: false });
            }
        }
        let markers = leaf.and_then(|leaf| match leaf {
            LeafKind::Json(Some(marker)) => Some(Markers::new(&marker, &entries)),
            _ => None,
        });
        let done = self.state(&key.leaves);
        Region { kind, expected: Expected::new(entries), markers, ws, done, by_name, unmarked }
    }

    /// Whether the leaf is framing behind which a call must come, such as the bracket of a list of calls.
    fn announces_call(&self, leaf: LeafId, depth: usize) -> bool {
        /// More framing between a marker and its first call than any format has.
        const DEEPEST: usize = 4;
        let leaf = &self.leaves.all[usize::from(leaf)];
        depth < DEEPEST
            && matches!(leaf.kind, LeafKind::Lit(_) | LeafKind::Ws(_))
            && leaf.call.is_none()
            && !leaf.last
            && !leaf.next.is_empty()
            && leaf.next.iter().all(|edge| edge.starts || self.announces_call(edge.to, depth + 1))
    }

    /// Whether the leaf is framing in front of a parameter's key.
    fn announces_key(&self, leaf: LeafId, depth: usize) -> bool {
        /// More framing in front of a key than any format has.
        const DEEPEST: usize = 4;
        let leaf = &self.leaves.all[usize::from(leaf)];
        let framing = matches!(leaf.kind, LeafKind::Lit(_) | LeafKind::Ws(_) | LeafKind::Type(_));
        let inside = leaf.next.iter().filter(|edge| !edge.ends && !edge.starts);
        matches!(leaf.kind, LeafKind::Key(_))
            || depth < DEEPEST
                && framing
                && !leaf.closes
                && inside.map(|edge| edge.to).any(|next| self.announces_key(next, depth + 1))
    }

    /// The members of several objects that begin alike.
    fn members(&self, leaves: &[LeafId]) -> Vec<Member> {
        let mut out: Vec<Member> = Vec::new();
        for &leaf in leaves {
            if let LeafKind::Object(members) = &self.leaves.all[usize::from(leaf)].kind {
                out.extend(
                    members.iter().filter(|member| !out.contains(member)).cloned().collect::<Vec<_>>(),
                );
            }
        }
        out
    }

    /// Makes the prefix of elements stay in the region, whatever else it leads to.
    fn prefixes(&mut self, prefix: &Lit, entries: &mut Vec<Literal>) {
        entries.retain(|literal| !prefix.spellings().any(|text| literal.entry.text == text.as_bytes()));
        let action = self.action(Action { marker: true, ..Action::to(To::Done) });
        for text in prefix.spellings() {
            let entry = Entry { text: text.as_bytes().to_vec(), action };
            entries.push(Literal { entry, special: prefix.special });
        }
    }

    /// What may stand behind the prefix of elements later on, the nearest first, unless it looks like an element.
    fn element_ends(&mut self, leaves: &[LeafId], prefix: &Lit) -> Vec<ElementEnd> {
        let opens = |text: &str| {
            let name = text.strip_prefix('<').and_then(|text| text.strip_suffix('>'));
            name.is_some_and(ElementsArgs::is_name)
        };
        let mut found: Vec<(String, Option<Candidate>, Vec<LeafId>)> = Vec::new();
        for candidate in self.reachable(leaves) {
            for (literal, _) in self.spellings(candidate.leaf, false) {
                let alone = prefix.spellings().any(|own| own == literal);
                let texts: Vec<String> = if alone {
                    let next = self.candidates(&[candidate.leaf]).into_iter();
                    next.flat_map(|next| self.spellings(next.leaf, false)).map(|(text, _)| text).collect()
                } else {
                    let behind = prefix.spellings().filter_map(|own| literal.strip_prefix(own));
                    behind.map(str::to_owned).collect()
                };
                let reached = alone.then(|| candidate.clone());
                for text in texts.into_iter().filter(|text| !text.is_empty() && !opens(text)) {
                    match found.iter_mut().find(|(known, ..)| *known == text) {
                        None => found.push((text, reached.clone(), vec![candidate.leaf])),
                        Some((_, Some(first), leaves))
                            if (first.ends, first.starts) == (candidate.ends, candidate.starts)
                                && alone
                                && !leaves.contains(&candidate.leaf) =>
                        {
                            leaves.push(candidate.leaf);
                        }
                        Some(_) => {}
                    }
                }
            }
        }
        let mut out = Vec::with_capacity(found.len());
        for (text, reached, leaves) in found {
            let prefix = reached.map(|reached| {
                let to = To::State(self.state(&leaves));
                let (ends, starts) = (reached.ends, reached.starts);
                self.action(Action { ends, starts, marker: true, ..Action::to(to) })
            });
            out.push(ElementEnd { text: text.into_bytes(), prefix });
        }
        out
    }

    /// What stands for other characters in a value.
    fn entities(&mut self) -> Vec<Literal> {
        let action = self.action(Action::to(To::Entity));
        let entry = |text: &str| Entry { text: text.as_bytes().to_vec(), action };
        Escape::ENTITIES.iter().map(|(text, _)| Literal { entry: entry(text), special: false }).collect()
    }

    /// Markers that ordinary content does not hold: special tokens and closing markers.
    fn strays(&mut self) -> Vec<Literal> {
        let action = self.action(Action::to(To::Stray));
        let mut out = Vec::new();
        for leaf in &self.leaves.all {
            let LeafKind::Lit(lit) = &leaf.kind else { continue };
            for text in lit.spellings() {
                if lit.special || (leaf.closes && is_distinctive(text, false)) {
                    let entry = Entry { text: text.trim().as_bytes().to_vec(), action };
                    out.push(Literal { entry, special: lit.special });
                }
            }
        }
        out
    }
}

/// Adds what is not there yet.
fn add(entries: &mut Vec<Literal>, more: Vec<Literal>) {
    for literal in more {
        if !entries.iter().any(|known| known.entry.text == literal.entry.text) {
            entries.push(literal);
        }
    }
}

/// Whether a text is made like a name.
fn is_identifier(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Whether a literal is a marker that ordinary text hardly holds by chance.
fn is_distinctive(text: &str, special: bool) -> bool {
    special || Lit::is_distinctive(text)
}
