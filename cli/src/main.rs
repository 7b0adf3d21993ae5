//! `swath`. It links no libtorch, whose loading alone takes longer than most commands: what needs an
//! engine is the program beside it, `swath-worker`.

fn main() -> ! {
    swath::main()
}
