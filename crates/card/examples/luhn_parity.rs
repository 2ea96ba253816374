//! The card rules against references of their own, a million random numbers long. A test runs it natively and, built for
//! wasm32, in Node: what the browser takes for a card is what the services take for one. It panics where they differ.

use card::{Brand, luhn, number, test_cards};

/// Luhn by its definition: double every second digit from the right, add the digits of the products.
fn reference(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| {
            let product = u32::from(*digit) * if at % 2 == 0 { 1 } else { 2 };
            product / 10 + product % 10
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Checks them all.
pub fn main() {
    // xorshift64: the same numbers everywhere.
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut valid = 0;
    for _ in 0..1_000_000 {
        let length = 12 + (next() % 8) as usize;
        let digits: Vec<u8> = (0..length).map(|_| (next() % 10) as u8).collect();
        let text: String = digits.iter().map(|digit| (b'0' + digit) as char).collect();
        let is_valid = luhn::is_valid(&text);
        assert_eq!(is_valid, reference(&digits));
        valid += u32::from(is_valid);
        // What is taken for a card has a right check digit and a length of its brand.
        if number::state(&text) == number::State::Valid {
            assert!(is_valid || Brand::of(&text) == Brand::Naranja);
            assert!(Brand::of(&text).facts().lengths.contains(length));
        }
    }
    // One in ten: the generator does not run past the rule.
    assert!((90_000..110_000).contains(&valid));
    for number in test_cards::published() {
        assert!(luhn::is_valid(number) && test_cards::is_test_number(number));
        assert_eq!(number::state(number), number::State::Valid);
    }
}
