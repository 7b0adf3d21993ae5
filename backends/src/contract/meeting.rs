//! The part of the contract of [`Ledger`] in which processes find each other: offices, and groups of members.

use super::ledger::{LONG, OVER, SHORT, worker};
use crate::ledger::Ledger;

pub async fn an_office_has_one_holder(one: &dyn Ledger, other: &dyn Ledger) {
    let office = format!("office-{:08x}", rand::random::<u32>());
    let (first, second) = (worker("first"), worker("second"));
    assert_eq!(one.leader(&office).await.expect("asking"), None);
    assert!(one.lead(&office, &first, SHORT).await.expect("leading"));
    assert_eq!(other.leader(&office).await.expect("asking"), Some(first.clone()));
    assert!(!other.lead(&office, &second, SHORT).await.expect("leading"), "two lead");
    assert!(one.lead(&office, &first, SHORT).await.expect("leading"), "the holder can't go on");
    tokio::time::sleep(OVER).await;
    assert_eq!(one.leader(&office).await.expect("asking"), None, "an expired lease still counts");
    assert!(other.lead(&office, &second, LONG).await.expect("leading"), "an expired lease keeps others out");
    one.resign(&office, &first).await.expect("resigning");
    assert!(!one.lead(&office, &first, LONG).await.expect("leading"), "one resigned for another");
    other.resign(&office, &second).await.expect("resigning");
    assert!(one.lead(&office, &first, SHORT).await.expect("leading"), "a free office can't be taken");
}

pub async fn members_are_there_while_they_say_so(one: &dyn Ledger, other: &dyn Ledger) {
    let [group, elsewhere] =
        ["group", "elsewhere"].map(|name| format!("{name}-{:08x}", rand::random::<u32>()));
    let (a, b, c) = (worker("a"), worker("b"), worker("c"));
    let there = async |ledger: &dyn Ledger| ledger.announced(&group).await.expect("listing");
    assert_eq!(there(one).await, []);
    let words = "it says: \"1 2\"\n\tand more";
    one.announce(&group, &b, words, LONG).await.expect("announcing");
    other.announce(&group, &a, "", SHORT).await.expect("announcing");
    other.announce(&elsewhere, &c, "not here", LONG).await.expect("announcing");
    assert_eq!(there(one).await, [(a.clone(), String::new()), (b.clone(), words.to_owned())]);
    other.announce(&group, &b, "other words", LONG).await.expect("announcing again");
    tokio::time::sleep(OVER).await;
    let other_words = (b.clone(), "other words".to_owned());
    assert_eq!(there(one).await, std::slice::from_ref(&other_words), "an expired lease still counts");
    one.announce(&group, &a, "back", LONG).await.expect("announcing");
    assert_eq!(there(other).await, [(a.clone(), "back".to_owned()), other_words.clone()]);
    one.withdraw(&group, &a).await.expect("withdrawing");
    one.withdraw(&group, &c).await.expect("withdrawing who is not there");
    assert_eq!(there(other).await, [other_words]);
}
