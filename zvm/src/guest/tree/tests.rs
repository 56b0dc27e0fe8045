use super::*;

fn tree(scratch: Option<u64>) -> Tree {
    let aliases =
        ["/dev/stdin", "/dev/stdout", "/dev/stderr", "/dev/in/data", "/x", "/x/below", "/dev//y", "/../z"];
    Tree::new(aliases, scratch)
}

impl Tree {
    /// Where nothing has to be fetched.
    fn walk(&self, base: usize, path: &str, follow: bool, steps: &mut u64) -> Result<Place, Errno> {
        match self.follow(base, path, follow, steps)? {
            Followed::To(place) => Ok(place),
            Followed::Unread(at) => panic!("directory {at} is not read"),
        }
    }
}

fn resolve(tree: &Tree, base: usize, path: &str) -> Result<Node, Errno> {
    tree.walk(base, path, true, &mut 0)?.node.ok_or(Errno::NOENT)
}

fn place(tree: &Tree, path: &str) -> Place {
    tree.walk(ROOT, path, false, &mut 0).unwrap()
}

fn names(tree: &Tree, directory: usize) -> Vec<String> {
    tree.entries(directory, 0).map(|(_, name, _)| name.to_owned()).collect()
}

#[test]
fn aliases_are_paths_below_the_root() {
    let tree = tree(None);
    assert_eq!(resolve(&tree, ROOT, "dev/stdin"), Ok(Node::Channel(0)));
    assert_eq!(resolve(&tree, ROOT, "./dev//in/../in/data"), Ok(Node::Channel(3)));
    let Ok(Node::Directory(dev)) = resolve(&tree, ROOT, "dev/") else { panic!("no directory") };
    assert_eq!(resolve(&tree, dev, "stdout"), Ok(Node::Channel(1)));
    assert_eq!(resolve(&tree, dev, "../x"), Ok(Node::Channel(4)));
    assert_eq!(resolve(&tree, dev, "in/../.."), Ok(Node::Directory(ROOT)));
}

#[test]
fn nothing_else_is_there() {
    let tree = tree(None);
    for (path, errno) in [
        ("/dev/stdin", Errno::NOTCAPABLE),
        ("/", Errno::NOTCAPABLE),
        ("..", Errno::NOTCAPABLE),
        ("dev/../../dev", Errno::NOTCAPABLE),
        ("", Errno::NOENT),
        ("etc/passwd", Errno::NOENT),
        ("etc/../dev", Errno::NOENT),
        ("dev/stdin/", Errno::NOTDIR),
        ("dev/stdin/.", Errno::NOTDIR),
        ("dev/stdin/..", Errno::NOTDIR),
        ("x/below", Errno::NOTDIR),
    ] {
        assert_eq!(resolve(&tree, ROOT, path), Err(errno), "{path}");
    }
}

#[test]
fn a_directory_lists_in_the_manifests_order() {
    let tree = tree(None);
    assert_eq!(names(&tree, ROOT), [".", "..", "dev", "x"]);
    let Ok(Node::Directory(dev)) = resolve(&tree, ROOT, "dev") else { panic!("no directory") };
    assert_eq!(
        names(&tree, dev),
        [".", "..", "stdin", "stdout", "stderr", "in", "null", "zero", "random", "urandom"]
    );
}

#[test]
fn a_listing_goes_on_after_a_change() {
    let mut tree = tree(Some(1 << 20));
    for name in ["a", "b", "c", "d"] {
        tree.make_file(&place(&tree, name), 0).unwrap();
    }
    let (cookie, name, _) = tree.entries(ROOT, 0).nth(5).unwrap();
    assert_eq!(name, "b");
    for name in ["a", "b"] {
        tree.remove_file(&place(&tree, name), 0).unwrap();
    }
    tree.make_file(&place(&tree, "e"), 0).unwrap();
    let rest: Vec<&str> = tree.entries(ROOT, cookie).map(|(_, name, _)| name).collect();
    assert_eq!(rest, ["c", "d", "e"]);
    assert!(tree.entries(ROOT, u64::MAX).next().is_none());
}

#[test]
fn everything_that_goes_is_given_back() {
    let mut tree = tree(Some(1 << 20));
    let left = |tree: &Tree| tree.scratch.as_ref().unwrap().left();
    let before = left(&tree);
    tree.make_directory(&place(&tree, "dir"), 0).unwrap();
    let Node::File(file) = tree.make_file(&place(&tree, "dir/file"), 0).unwrap() else { panic!("no file") };
    tree.make_link(&place(&tree, "dir/link"), "file", 0).unwrap();
    tree.add_name(&place(&tree, "dir/file"), &place(&tree, "other"), 0).unwrap();
    tree.write(file, &[1; 10_000], 0, 0).unwrap();
    tree.rename(&place(&tree, "dir/link"), &place(&tree, "a longer name"), 0, &mut 0).unwrap();
    tree.rename(&place(&tree, "other"), &place(&tree, "a longer name"), 0, &mut 0).unwrap();
    tree.open(Node::File(file));
    assert!(left(&tree) < before - 3 * BLOCK as u64);
    for name in ["dir/file", "a longer name"] {
        tree.remove_file(&place(&tree, name), 0).unwrap();
    }
    tree.remove_directory(&place(&tree, "dir"), 0).unwrap();
    assert!(left(&tree) < before - 3 * BLOCK as u64, "a descriptor holds it");
    tree.close(Node::File(file));
    assert_eq!(left(&tree), before);
}

#[test]
fn links_are_followed_and_never_lead_out() {
    let mut tree = tree(Some(1 << 20));
    tree.make_directory(&place(&tree, "dir"), 0).unwrap();
    let links = [
        ("dir/up", ".."),
        ("dir/out", "../.."),
        ("dir/self", "self"),
        ("dir/in", "../dev/stdin"),
        ("d", "dir/"),
    ];
    for (name, target) in links {
        tree.make_link(&place(&tree, name), target, 0).unwrap();
    }
    assert_eq!(resolve(&tree, ROOT, "dir/up/x"), Ok(Node::Channel(4)));
    assert_eq!(resolve(&tree, ROOT, "d/in"), Ok(Node::Channel(0)));
    assert_eq!(resolve(&tree, ROOT, "dir/out"), Err(Errno::NOTCAPABLE));
    assert_eq!(resolve(&tree, ROOT, "dir/self"), Err(Errno::LOOP));
    assert_eq!(tree.make_link(&place(&tree, "abs"), "/dev", 0), Err(Errno::NOTCAPABLE));
    let walk = tree.walk(ROOT, "d", false, &mut 0).unwrap();
    assert!(matches!(walk.node, Some(Node::Link(_))));
    assert!(matches!(tree.walk(ROOT, "d/", false, &mut 0).unwrap().node, Some(Node::Directory(_))));
}

#[test]
fn a_removed_directory_takes_nothing_and_leads_nowhere() {
    let mut tree = tree(Some(1 << 20));
    tree.make_directory(&place(&tree, "dir"), 0).unwrap();
    let Ok(node @ Node::Directory(dir)) = resolve(&tree, ROOT, "dir") else { panic!("no directory") };
    tree.open(node);
    tree.remove_directory(&place(&tree, "dir"), 0).unwrap();
    assert_eq!(tree.walk(dir, "..", true, &mut 0), Err(Errno::NOENT));
    let new = tree.walk(dir, "file", true, &mut 0).unwrap();
    assert_eq!(tree.make_file(&new, 0), Err(Errno::NOENT));
    tree.close(node);
}

#[test]
fn a_directory_is_not_moved_into_itself() {
    let mut tree = tree(Some(1 << 20));
    tree.make_directory(&place(&tree, "a"), 0).unwrap();
    tree.make_directory(&place(&tree, "a/b"), 0).unwrap();
    assert_eq!(tree.rename(&place(&tree, "a"), &place(&tree, "a/b/c"), 0, &mut 0), Err(Errno::INVAL));
    assert_eq!(tree.rename(&place(&tree, "a"), &place(&tree, "a/c"), 0, &mut 0), Err(Errno::INVAL));
    tree.rename(&place(&tree, "a/b"), &place(&tree, "c"), 0, &mut 0).unwrap();
    tree.rename(&place(&tree, "a"), &place(&tree, "c/a"), 0, &mut 0).unwrap();
    let Ok(Node::Directory(a)) = resolve(&tree, ROOT, "c/a") else { panic!("no directory") };
    assert_eq!(resolve(&tree, a, ".."), resolve(&tree, ROOT, "c"));
}

/// Found by the fuzzer: the last descriptor of the root took the root with it.
#[test]
fn the_root_stays_when_its_descriptor_is_closed() {
    let mut tree = tree(Some(1 << 20));
    tree.close(Node::Directory(ROOT));
    assert_eq!(resolve(&tree, ROOT, "x"), Ok(Node::Channel(4)));
}

/// Found in a review: a name that was given to the file that had it freed the file, and the next one took its place.
#[test]
fn a_file_that_gets_its_own_name_again_keeps_it() {
    let mut fixed = tree(None);
    let file = fixed.fixed_file(Content::Packed { channel: 0, offset: 0, size: 1 }, 0);
    fixed.fixed_node(ROOT, "a", file).unwrap();
    fixed.fixed_node(ROOT, "a", file).unwrap();
    let other = fixed.fixed_file(Content::Packed { channel: 0, offset: 1, size: 2 }, 0);
    fixed.fixed_node(ROOT, "b", other).unwrap();
    assert_eq!((resolve(&fixed, ROOT, "a"), fixed.status(file).size), (Ok(file), 1));
    fixed.check(0);
    let mut own = tree(Some(1 << 20));
    let file = own.seed(ROOT, "a", Seed::File, 0).unwrap();
    assert_eq!(own.seed(ROOT, "a", Seed::Name(file), 0), Ok(file));
    let other = own.seed(ROOT, "b", Seed::File, 0).unwrap();
    assert!(file != other && resolve(&own, ROOT, "a") == Ok(file));
    own.check(1 << 20);
}

/// Found in a review: where parents go round in a circle, a rename never ended.
#[test]
fn a_circle_of_directories_ends_a_rename() {
    let mut tree = tree(Some(1 << 20));
    for name in ["a", "a/b", "c"] {
        tree.make_directory(&place(&tree, name), 0).unwrap();
    }
    let target = place(&tree, "a/b/new");
    let Ok(Node::Directory(a)) = resolve(&tree, ROOT, "a") else { panic!("no directory") };
    tree.directory_mut(a).unwrap().parent = target.parent;
    let mut steps = 0;
    assert_eq!(tree.rename(&place(&tree, "c"), &target, 0, &mut steps), Err(Errno::INVAL));
    assert_eq!(steps, tree.inodes.len() as u64);
}

/// Found in a review: a writable tree over one that is not gave back for the names of the latter, which had taken nothing.
#[test]
fn what_paid_for_no_name_gives_none_back() {
    let mut tree = tree(Some(1 << 20));
    let fixed = |tree: &mut Tree| tree.fixed_file(Content::Packed { channel: 0, offset: 0, size: 1 }, 0);
    let below = fixed(&mut tree);
    tree.fixed_node(ROOT, "a", below).unwrap();
    tree.check(1 << 20);
    // The guest's own in its place, with one more name; then the other way round.
    let own = tree.seed(ROOT, "a", Seed::File, 0).unwrap();
    tree.seed(ROOT, "b", Seed::Name(own), 0).unwrap();
    tree.check(1 << 20);
    let above = fixed(&mut tree);
    tree.fixed_node(ROOT, "a", above).unwrap();
    tree.check(1 << 20);
    // Neither is a name of the other's file.
    assert_eq!(tree.seed(ROOT, "c", Seed::Name(above), 0), Err(Errno::ROFS));
    assert_eq!(tree.fixed_node(ROOT, "c", own), Err(Errno::ROFS));
    tree.remove_file(&place(&tree, "b"), 0).unwrap();
    tree.check(1 << 20);
    assert_eq!(tree.scratch.as_ref().unwrap().left(), 1 << 20);
}
