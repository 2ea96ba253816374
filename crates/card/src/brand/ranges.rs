//! Issuer ranges, as published; each line names its source. What they are short of is said in `docs/brands.md`.
//!
//! The sources, by the letter at the end of a line: **B** the schemes' ranges as npm `credit-card-type` 10.3.0 lists
//! them (the differential test compares), **A** Adyen's `cardType.ts`, **M** Active Merchant's `credit_card_methods.rb`
//! (which quotes Mastercard's rules, Elo's table of BINs and Discover's IIN table), **N** NPCI's ranges, **C**
//! Checkout.com's list for mada, **W** Wikipedia's "Payment card number", **S** the test numbers Stripe publishes.

use super::Brand;

/// Prefixes from `from` to `from + span`, both taken; they have `prefix` digits.
pub struct Range {
    from: u32,
    span: u16,
    prefix: u8,
    /// Whose they are.
    pub brand: Brand,
}

/// The longest prefix of a range.
const LONGEST: usize = 8;

/// What the ranges look at of a number: the prefixes of each length, read once.
pub struct Head {
    /// The first digits as a number, by how many they are.
    prefixes: [u32; LONGEST + 1],
    /// How many there are.
    known: usize,
}

impl Head {
    /// Of a number, or of what is typed of it; what is no digit ends it.
    pub fn of(digits: &str) -> Self {
        let mut head = Self {
            prefixes: [0; LONGEST + 1],
            known: 0,
        };
        for b in digits.bytes().take(LONGEST).take_while(u8::is_ascii_digit) {
            let longer = head.prefixes[head.known] * 10 + u32::from(b - b'0');
            head.known += 1;
            head.prefixes[head.known] = longer;
        }
        head
    }
}

impl Range {
    const fn new(from: u32, to: u32, brand: Brand) -> Self {
        let prefix = from.ilog10() as u8 + 1;
        assert!(from <= to && to - from <= u16::MAX as u32 && prefix as usize <= LONGEST);
        Self {
            from,
            span: (to - from) as u16,
            prefix,
            brand,
        }
    }

    /// How many digits the prefix has.
    pub fn prefix(&self) -> usize {
        usize::from(self.prefix)
    }

    /// The first and the last prefix.
    pub fn bounds(&self) -> (u32, u32) {
        (self.from, self.from + u32::from(self.span))
    }

    /// Whether a number that begins so is in the range.
    pub fn holds(&self, head: &Head) -> bool {
        let prefix = self.prefix();
        let (from, to) = self.bounds();
        prefix <= head.known && (from..=to).contains(&head.prefixes[prefix])
    }

    /// Whether more digits may bring it into the range, or it is there.
    pub fn may_hold(&self, head: &Head) -> bool {
        let known = self.prefix().min(head.known);
        let scale = 10u32.pow((self.prefix() - known) as u32);
        let (from, to) = self.bounds();
        (from / scale..=to / scale).contains(&head.prefixes[known])
    }
}

macro_rules! table {
    (@to $from:literal) => { $from };
    (@to $from:literal $to:literal) => { $to };
    ($($brand:ident: $($from:literal $(- $to:literal)?),+;)+) => {
        &[$($(Range::new($from, table!(@to $from $($to)?), Brand::$brand)),+),+]
    };
}

/// The ranges of each brand. The longest prefix that fits wins.
#[rustfmt::skip]
pub static RANGES: &[Range] = table! {
    Visa: 4; // B
    Mastercard: 51-55, 2221-2720; // B
    Amex: 34, 37; // B
    Discover: 6011, 644-649, 65; // B
    Diners: 300-305, 3095, 36, 38-39; // B; 3095 W
    Jcb: 1800, 2131, 3528-3589; // B
    UnionPay: 62, 810-816, 8170-8171; // B; all of 62 W
    // Mastercard's rules give Maestro all of 6; where nobody lists a number it stays unknown, and is taken as well.
    Maestro: 493698, 50, 56-59, 63, 67; // B
    CartesBancaires: 507589-507590, 507593-507595, 507597, 560408, 581752, 585402-585405, 585501-585505,
        585577-585582; // M
    Dankort: 5019; // A, M
    Bancontact: 6703, 479658, 606005; // A
    Mada: 504300, 506968, 508160, 585265, 588845-588851, 588982-588983, 589005, 589206, 604906, 605141, 636120,
        968201-968211; // C, M
    RuPay: 508500-508999, 606985-607984, 608001-608500, 652150-653149, 817200-820199; // N
    Elo: 401178-401179, 431274, 438935, 451416, 457393, 457631-457632, 504175, 506699-506778, 509000-509999, 627780,
        636297, 636368, 650031-650033, 650035-650051, 650405-650439, 650485-650538, 650541-650598, 650700-650718,
        650720-650727, 650901-650978, 651652-651679, 655000-655019, 655021-655058; // B
    Hiper: 637095, 63737423, 63743358, 637568, 637599, 637609, 637612; // B
    Hipercard: 606282; // B
    Aura: 507860; // the test number that Cielo publishes
    Vr: 627416, 637036; // M
    Sodexo: 600818, 603389, 606068-606071; // M
    Edenred: 637483; // M
    Naranja: 402918, 527572, 589562; // B
    Cabal: 589657, 600691, 603522, 6042-6043, 636908, 650272, 65008700; // A, M
    ArgenCard: 501105; // A
    TarjetaShopping: 2799, 589407, 603488; // A
    Cencosud: 603493; // M
    Carnet: 286900, 502275, 506199-506499, 606333, 627535, 636318, 636379, 639388, 639484, 639559, 58877274, 588772,
        60462203-60462204, 62753500; // M
    Codensa: 590712; // A
    Olimpica: 636853; // M
    Mir: 2200-2204; // B
    Verve: 506099-506127, 506129, 506133-506150, 506158-506163, 506166, 506168, 506170, 506173, 506176-506180, 506184,
        506187-506188, 506191, 506195, 506197, 507865-507866, 507868-507877, 507880-507888, 507900, 507941; // B
    Meeza: 507803; // the test number that Paymob publishes
    Troy: 9792, 650052, 650082-650083, 650092, 650161, 650170, 650173, 650175, 650268, 650271, 650273-650274,
        650456-650457, 650836, 650846-650850, 650923, 650987, 650990, 654997, 657366, 657998, 658758, 658767-658768,
        65083700-65083704, 65085800-65085804, 65085900-65085901, 65086000, 65086100-65086105, 65086200-65086203,
        65875000-65875003, 65875009, 65875101-65875104, 65875200, 65875501, 65875601, 65875900, 65876000-65876002,
        65876100-65876103, 65876110, 65876115-65876116, 65876200-65876201, 65876500, 65876504-65876505,
        65876600-65876602, 65877100-65877101, 65877600-65877602, 65877700, 65877801-65877802, 65878200-65878202,
        65878300-65878311, 65878400-65878405, 65878500-65878505, 65878600-65878601, 65879800, 65880800, 65880900; // B
    Humo: 9860; // W
    Uzcard: 8600, 5614; // W
    BelKart: 9112; // W
    Prostir: 9804; // W
    DinaCard: 9891; // W
    Borica: 2205; // W
    Napas: 9704; // W
    LankaPay: 357111; // W
    Gpn: 1946; // W
    BcCard: 65559000; // S
    Uatp: 1; // A, W
    Forbrugsforeningen: 600722; // A, M
    Synchrony: 700600; // M
};

/// Ranges of cards that carry a second network beside the brand that [`RANGES`] gives them.
#[rustfmt::skip]
pub static CO_BADGES: &[Range] = table! {
    // Visa's and Mastercard's French prefixes (W); 40000025 and 55555525 are test ranges (S).
    CartesBancaires: 4970-4978, 5131-5132, 40000025, 55555525;
    Dankort: 4571; // A
    EftposAu: 40000503, 55550503; // S: eftpos publishes no ranges; these are test ranges
    Maestro: 6703; // A
    Visa: 479658; // A
    // JCB cards that RuPay issues. A
    RuPay: 353800-353802, 353805-353806, 353809;
    Mada: 400861, 401757, 407197, 407395, 409201, 410685, 417633, 419593, 422817-422819, 428331, 428671-428673, 431361,
        432328, 434107, 439954, 440533, 440647, 440795, 445564, 446393, 446404, 446672, 455036, 455708, 457865, 458456,
        462220, 468540-468543, 483010-483012, 484783, 486094-486096, 489317-489319, 493428, 513213, 520058, 521076,
        524130, 524514, 529415, 529741, 530060, 530906, 531095, 531196, 532013, 535825, 535989, 536023, 537767, 539931,
        543085, 543357, 549760, 554180, 557606, 558848; // C
};
