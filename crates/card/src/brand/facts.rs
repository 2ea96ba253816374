//! What each brand's cards look like. The names on the wire are Stripe's where Stripe has one.

/// What a brand's numbers look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts<'a> {
    /// The wire name.
    pub id: &'a str,
    /// The name a buyer knows.
    pub name: &'a str,
    /// Lengths of a whole number.
    pub lengths: Lengths,
    /// Digits of the CVV.
    pub cvc_length: u8,
    /// What the brand calls its CVV.
    pub cvc_label: &'a str,
}

/// Lengths that a whole number may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lengths(u32);

impl Lengths {
    /// These lengths, each below 32.
    #[must_use]
    pub const fn of(lengths: &[u8]) -> Self {
        let mut set = 0;
        let mut at = 0;
        while at < lengths.len() {
            set |= 1 << lengths[at];
            at += 1;
        }
        Self(set)
    }

    /// Whether a number may be so long.
    #[must_use]
    pub fn contains(self, length: usize) -> bool {
        length < 32 && self.0 >> length & 1 == 1
    }

    /// The shortest.
    #[must_use]
    pub fn shortest(self) -> usize {
        self.0.trailing_zeros() as usize
    }

    /// The longest.
    #[must_use]
    pub fn longest(self) -> usize {
        31 - self.0.leading_zeros() as usize
    }
}

/// Declares the brands and their facts in one place: variant, wire name, name, lengths, digits and name of the CVV.
macro_rules! brands {
    ($($(#[$doc:meta])* $brand:ident $id:literal $name:literal [$($length:literal),+] $cvc:literal $label:literal;)+) => {
        /// A card brand. `Unknown` is a number whose range we do not list: it may still be a card.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Brand {
            $($(#[$doc])* $brand,)+
        }

        impl Brand {
            /// All of them, [`Brand::Unknown`] last.
            pub const ALL: [Self; [$($id),+].len()] = [$(Self::$brand),+];

            /// What the brand's cards look like.
            #[must_use]
            pub fn facts(self) -> &'static Facts<'static> {
                static FACTS: [Facts<'static>; Brand::ALL.len()] = [$(Facts {
                    id: $id,
                    name: $name,
                    lengths: Lengths::of(&[$($length),+]),
                    cvc_length: $cvc,
                    cvc_label: $label,
                }),+];
                &FACTS[self as usize]
            }
        }
    };
}

brands! {
    /// Visa.
    Visa "visa" "Visa" [13, 16, 19] 3 "CVV";
    /// Mastercard.
    Mastercard "mastercard" "Mastercard" [16] 3 "CVC";
    /// American Express.
    Amex "amex" "American Express" [15] 4 "CID";
    /// Discover.
    Discover "discover" "Discover" [16, 19] 3 "CID";
    /// Diners Club International.
    Diners "diners" "Diners Club" [14, 16, 19] 3 "CVV";
    /// JCB.
    Jcb "jcb" "JCB" [16, 17, 18, 19] 3 "CVV";
    /// China UnionPay.
    UnionPay "unionpay" "UnionPay" [14, 15, 16, 17, 18, 19] 3 "CVN";
    /// Maestro.
    Maestro "maestro" "Maestro" [12, 13, 14, 15, 16, 17, 18, 19] 3 "CVC";
    /// Cartes Bancaires (France).
    CartesBancaires "cartes_bancaires" "Cartes Bancaires" [16] 3 "CVC";
    /// Dankort (Denmark).
    Dankort "dankort" "Dankort" [16] 3 "CVV";
    /// Bancontact (Belgium).
    Bancontact "bancontact" "Bancontact" [16, 17, 18, 19] 3 "CVC";
    /// eftpos (Australia).
    EftposAu "eftpos_au" "eftpos" [16] 3 "CVV";
    /// mada (Saudi Arabia).
    Mada "mada" "mada" [16] 3 "CVV";
    /// RuPay (India).
    RuPay "rupay" "RuPay" [16] 3 "CVV";
    /// Elo (Brazil).
    Elo "elo" "Elo" [16] 3 "CVE";
    /// Hiper (Brazil).
    Hiper "hiper" "Hiper" [16] 3 "CVC";
    /// Hipercard (Brazil).
    Hipercard "hipercard" "Hipercard" [13, 16, 19] 3 "CVC";
    /// Aura (Brazil).
    Aura "aura" "Aura" [16, 19] 3 "CVV";
    /// VR (Brazil, meal vouchers).
    Vr "vr" "VR" [16] 3 "CVV";
    /// Sodexo (meal vouchers).
    Sodexo "sodexo" "Sodexo" [16] 3 "CVV";
    /// Edenred (meal vouchers).
    Edenred "edenred" "Edenred" [16] 3 "CVV";
    /// Naranja (Argentina).
    Naranja "naranja" "Naranja" [16] 3 "CVV";
    /// Cabal (Argentina, Brazil).
    Cabal "cabal" "Cabal" [16] 3 "CVV";
    /// Argencard (Argentina).
    ArgenCard "argencard" "Argencard" [16] 3 "CVC";
    /// Tarjeta Shopping (Argentina).
    TarjetaShopping "tarjeta_shopping" "Tarjeta Shopping" [16] 3 "CVV";
    /// Cencosud (Argentina).
    Cencosud "cencosud" "Cencosud" [16] 3 "CVV";
    /// Carnet (Mexico).
    Carnet "carnet" "Carnet" [16] 3 "CVV";
    /// Codensa (Colombia).
    Codensa "codensa" "Codensa" [16] 3 "CVV";
    /// Olímpica (Colombia).
    Olimpica "olimpica" "Olímpica" [16] 3 "CVV";
    /// Mir.
    Mir "mir" "Mir" [16, 17, 18, 19] 3 "CVP2";
    /// Verve (Nigeria).
    Verve "verve" "Verve" [16, 18, 19] 3 "CVV";
    /// Meeza (Egypt).
    Meeza "meeza" "Meeza" [16] 3 "CVV";
    /// Troy (Türkiye).
    Troy "troy" "Troy" [16] 3 "CVV";
    /// Humo (Uzbekistan).
    Humo "humo" "Humo" [16] 3 "CVV";
    /// Uzcard (Uzbekistan).
    Uzcard "uzcard" "Uzcard" [16] 3 "CVV";
    /// Belkart (Belarus).
    BelKart "belkart" "Belkart" [16] 3 "CVC";
    /// Prostir (Ukraine).
    Prostir "prostir" "Prostir" [16, 17, 18, 19] 3 "CVV";
    /// DinaCard (Serbia).
    DinaCard "dinacard" "DinaCard" [16] 3 "CVV";
    /// Borica (Bulgaria).
    Borica "borica" "Borica" [16] 3 "CVV";
    /// NAPAS (Vietnam).
    Napas "napas" "NAPAS" [16, 19] 3 "CVV";
    /// LankaPay (Sri Lanka).
    LankaPay "lankapay" "LankaPay" [16] 3 "CVV";
    /// GPN (Indonesia).
    Gpn "gpn" "GPN" [16, 18, 19] 3 "CVV";
    /// BC Card (Korea).
    BcCard "bccard" "BC Card" [16] 3 "CVC";
    /// UATP (airlines).
    Uatp "uatp" "UATP" [15] 3 "CVV";
    /// Forbrugsforeningen (Denmark).
    Forbrugsforeningen "forbrugsforeningen" "Forbrugsforeningen" [16] 3 "CVC";
    /// Synchrony (United States, private label).
    Synchrony "synchrony" "Synchrony" [16] 3 "CVV";
    /// No listed range.
    Unknown "unknown" "Card" [12, 13, 14, 15, 16, 17, 18, 19] 3 "CVC";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_a_set() {
        let lengths = Lengths::of(&[13, 16, 19]);
        assert_eq!((lengths.shortest(), lengths.longest()), (13, 19));
        assert!(lengths.contains(16) && !lengths.contains(15) && !lengths.contains(48));
    }
}
