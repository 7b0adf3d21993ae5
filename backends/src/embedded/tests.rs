use super::*;

const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS thing (name TEXT PRIMARY KEY);";

async fn count(file: &File) -> i64 {
    let count = |db: &Transaction<'_>| db.query_row("SELECT count(*) FROM thing", [], |row| row.get(0));
    file.run("counting", count).await.expect("counting")
}

#[tokio::test]
async fn a_verb_that_fails_changes_nothing_and_its_neighbours_go_through() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = File::open(&folder.path().join("x.db"), SCHEMA).expect("opening");
    let good = |name: &'static str| {
        file.run("adding", move |db| db.execute("INSERT INTO thing VALUES (?)", [name]).map(drop))
    };
    let bad = file.run("failing", |db| {
        db.execute("INSERT INTO thing VALUES ('half')", [])?;
        db.execute("INSERT INTO nothing VALUES (1)", []).map(drop)
    });
    let (before, bad, after) = tokio::join!(good("before"), bad, good("after"));
    before.and(after).expect("the neighbours of a verb that fails");
    let error = bad.expect_err("there is no such table");
    assert!(error.told().contains("nothing"));
    assert_eq!(count(&file).await, 2, "half of a verb that failed is in the file");
}

#[tokio::test]
async fn a_verb_that_panics_is_an_error_and_the_file_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = File::open(&folder.path().join("x.db"), SCHEMA).expect("opening");
    let bad = file.run::<()>("panicking", |db| {
        db.execute("INSERT INTO thing VALUES ('half')", [])?;
        panic!("as planned")
    });
    bad.await.expect_err("a verb that panicked");
    assert_eq!(count(&file).await, 0);
}

#[test]
fn many_may_open_a_new_file_at_the_same_moment() {
    for _ in 0..20 {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("local/x.db");
        let start = std::sync::Barrier::new(12);
        std::thread::scope(|scope| {
            for _ in 0..12 {
                scope.spawn(|| {
                    start.wait();
                    if let Err(error) = File::open(&path, SCHEMA) {
                        panic!("{:#}", anyhow::Error::from(error));
                    }
                });
            }
        });
    }
}

#[test]
fn a_file_of_another_version_or_of_another_kind_is_refused_in_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let (other, none) = (folder.path().join("other.db"), folder.path().join("none.db"));
    let connection = Connection::open(&other).expect("a file");
    connection.execute_batch("CREATE TABLE event (x); PRAGMA user_version = 99;").expect("a table");
    std::fs::write(&none, vec![b'x'; 9000]).expect("writing");
    for path in [other, none] {
        let error = File::open(&path, SCHEMA).err().expect("it was opened");
        let words = error.told();
        assert!(words.contains("delete it"), "{words}");
    }
}
