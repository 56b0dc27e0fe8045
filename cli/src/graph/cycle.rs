//! Which pipes lie on a cycle of guests.

use super::job::{Job, Node};
use std::collections::VecDeque;

/// Marks the pipes between guests that lie on a cycle, and names each group of guests that reach each other: `a, b`.
pub fn mark(job: &mut Job) -> Vec<String> {
    let mut next: Vec<Vec<usize>> = vec![Vec::new(); job.guests.len()];
    for edge in &job.edges {
        if let (Node::Guest(from), Node::Guest(to)) = (edge.from, edge.to) {
            next[from].push(to);
        }
    }
    let reached: Vec<Vec<bool>> = (0..next.len()).map(|from| reached(from, &next)).collect();
    for edge in &mut job.edges {
        if let (Node::Guest(from), Node::Guest(to)) = (edge.from, edge.to) {
            edge.in_cycle = reached[to][from];
        }
    }
    let mut told = vec![false; next.len()];
    let mut cycles = Vec::new();
    for first in 0..next.len() {
        if !reached[first][first] || told[first] {
            continue;
        }
        let members = (0..next.len()).filter(|other| reached[first][*other] && reached[*other][first]);
        let members: Vec<usize> = members.collect();
        members.iter().for_each(|member| told[*member] = true);
        let names: Vec<&str> = members.iter().map(|member| job.guests[*member].name.as_str()).collect();
        cycles.push(names.join(", "));
    }
    cycles
}

/// Which guests are reached from one, by one step or more.
fn reached(from: usize, next: &[Vec<usize>]) -> Vec<bool> {
    let mut reached = vec![false; next.len()];
    let mut left = VecDeque::from([from]);
    while let Some(guest) = left.pop_front() {
        for to in &next[guest] {
            if !reached[*to] {
                reached[*to] = true;
                left.push_back(*to);
            }
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::super::job::{Edge, Guest};
    use super::*;

    fn job(guests: &[&str], pipes: &[(usize, usize)]) -> Job {
        let guest = |name: &&str| Guest {
            manifest: name.into(),
            name: (*name).to_owned(),
            program: "p".into(),
            ended: None,
        };
        let edge = |(from, to): &(usize, usize)| Edge {
            from: Node::Guest(*from),
            to: Node::Guest(*to),
            ends: [None, None],
            in_cycle: false,
        };
        Job {
            guests: guests.iter().map(guest).collect(),
            edges: pipes.iter().map(edge).collect(),
            places: Vec::new(),
        }
    }

    fn in_cycle(job: &Job) -> Vec<bool> {
        job.edges.iter().map(|edge| edge.in_cycle).collect()
    }

    #[test]
    fn a_mesh_has_none() {
        let mut job = job(&["a", "b", "c"], &[(0, 1), (1, 2), (0, 2), (0, 2)]);
        assert!(mark(&mut job).is_empty());
        assert_eq!(in_cycle(&job), [false; 4]);
    }

    #[test]
    fn each_cycle_is_told_once_and_only_its_pipes_are_marked() {
        let pipes = [(0, 1), (1, 0), (1, 2), (2, 3), (3, 3), (3, 4), (4, 3)];
        let mut job = job(&["a", "b", "c", "d", "e"], &pipes);
        assert_eq!(mark(&mut job), ["a, b", "d, e"]);
        assert_eq!(in_cycle(&job), [true, true, false, false, true, true, true]);
    }
}
