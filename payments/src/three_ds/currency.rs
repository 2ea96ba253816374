//! ISO 4217's numeric codes, which EMV messages have instead of letters.

/// Letters and number, of the currencies that payments are taken in.
const NUMBERS: &str = "aed784 afn971 all008 amd051 ang532 aoa973 ars032 aud036 awg533 azn944 bam977 bbd052 bdt050 \
    bgn975 bhd048 bif108 bmd060 bnd096 bob068 brl986 bsd044 bwp072 byn933 bzd084 cad124 cdf976 chf756 clp152 cny156 \
    cop170 crc188 cve132 czk203 djf262 dkk208 dop214 dzd012 egp818 etb230 eur978 fjd242 fkp238 gbp826 gel981 ghs936 \
    gip292 gmd270 gnf324 gtq320 gyd328 hkd344 hnl340 hrk191 htg332 huf348 idr360 ils376 inr356 jmd388 jod400 \
    jpy392 kes404 kgs417 khr116 kmf174 krw410 kwd414 kyd136 kzt398 lak418 lbp422 lkr144 lrd430 lsl426 mad504 mdl498 \
    mkd807 mmk104 mnt496 mop446 mur480 mvr462 mwk454 mxn484 myr458 mzn943 nad516 ngn566 nio558 nok578 npr524 \
    nzd554 omr512 pab590 pen604 pgk598 php608 pkr586 pln985 pyg600 qar634 ron946 rsd941 rub643 rwf646 sar682 sbd090 \
    scr690 sek752 sgd702 shp654 sle925 sos706 srd968 std678 svc222 szl748 thb764 tjs972 tnd788 top776 try949 ttd780 \
    twd901 tzs834 uah980 usd840 uyu858 uzs860 vnd704 vuv548 wst882 xaf950 xcd951 xof952 xpf953 yer886 zar710 \
    zmw967";

/// The numeric code, and how many decimals an amount of the smallest unit has; USD's for letters that are none.
pub fn numeric(currency: &str) -> (&'static str, String) {
    let number = NUMBERS
        .split_ascii_whitespace()
        .find_map(|entry| entry.strip_prefix(currency));
    let exponent = card::currency::minor_units(currency).to_string();
    (number.unwrap_or("840"), exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_currency_that_is_taken_has_a_number_of_its_own() {
        let mut seen = std::collections::HashSet::new();
        for entry in NUMBERS.split_ascii_whitespace() {
            let (letters, number) = entry.split_at(3);
            assert!(number.len() == 3 && number.bytes().all(|b| b.is_ascii_digit()));
            assert!(seen.insert(number), "{entry}");
            assert_eq!(numeric(letters).0, number);
        }
        for currency in crate::currency::KNOWN.split_ascii_whitespace() {
            let known = NUMBERS
                .split_ascii_whitespace()
                .any(|entry| entry.starts_with(currency));
            assert!(known, "{currency}");
        }
        assert_eq!(numeric("jpy"), ("392", "0".to_owned()));
        assert_eq!(numeric("kwd"), ("414", "3".to_owned()));
        assert_eq!(numeric("usd"), ("840", "2".to_owned()));
    }
}
