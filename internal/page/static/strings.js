// Which language the page speaks. What Kubernetes' conditions say stays as it is, in English.

import en from './en.js';
import zh from './zh.js';

const languages = { en, zh };
const stored = 'fairlead.language';

let current = choose();

function choose() {
  try {
    const kept = localStorage.getItem(stored);
    if (kept in languages) return kept;
  } catch { /* storage may be forbidden */ }
  return (navigator.language || 'en').toLowerCase().startsWith('zh') ? 'zh' : 'en';
}

// t is a text, with values put in.
export function t(key, ...values) {
  const text = languages[current][key] ?? en[key];
  if (text === undefined) throw new Error(`no text ${key}`);
  return typeof text === 'function' ? text(...values) : text;
}

// word is the text for a value that comes from the controller, or the value itself where there is none.
export function word(group, value) {
  return languages[current][`${group}.${value}`] ?? en[`${group}.${value}`] ?? value;
}

// language is "en" or "zh".
export const language = () => current;

// locale is what Intl takes.
export const locale = () => (current === 'zh' ? 'zh-Hans' : navigator.language?.startsWith('en') ? navigator.language : 'en-GB');

// switchLanguage goes to the other language, and remembers it.
export function switchLanguage() {
  current = current === 'en' ? 'zh' : 'en';
  try { localStorage.setItem(stored, current); } catch { /* only for this visit, then */ }
}
