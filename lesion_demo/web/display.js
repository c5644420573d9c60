notices => {
  // Which picture is on display, and whether what arrives is said of it. Every picture that comes in gets an id here,
  // before anything is sent; the server puts it into all that it says of the picture; what carries another is not shown.
  const PARTS = ['result', 'heat', 'meaning', 'quality', 'record'];
  const UPLOAD = /\/upload(\?|$)/;
  const RUN = /\/(queue\/join|run\/)/;
  const PATIENCE = 1500;  // milliseconds from the choice of a file until it is on its way, or was not taken
  const place = name => document.getElementById(name);
  const asked = {};  // id of the picture whose report was asked for, by the form of the report
  let [id, sent, state, trouble, timer, spoken, loaded] = ['', '', 'empty', '', 0, '', false];
  // The id of the picture that has an answer, for a reload; this tab alone keeps it. A browser may forbid that.
  const TOKEN = 'lesion';
  const kept = name => {
    try {
      if (name === undefined) return sessionStorage.getItem(TOKEN) ?? '';
      if (name) sessionStorage.setItem(TOKEN, name);
      else sessionStorage.removeItem(TOKEN);
    } catch (error) {
      if (error.name !== 'SecurityError') throw error;
    }
    return '';
  };

  const enter = (entered, notice) => {
    state = entered;
    clearTimeout(timer);
    if (place('notice-card')) place('notice-card').innerHTML = notices[notice];
    settle();
  };
  const carried = name => place(name)?.querySelector('[data-picture]')?.dataset.picture;
  // Before the next frame is drawn: an answer to the picture on display takes the notice's place, any other is hidden.
  const settle = () => {
    if (state === 'waiting' && carried('result') === id) {
      state = 'answered';
      if (!place('result').querySelector('.error')) kept(id);
      place('notice-card').replaceChildren();
      requestAnimationFrame(come);
    }
    PARTS.forEach(name => place(name)?.toggleAttribute('data-other', carried(name) !== id));
    const stage = place('stage');
    if (stage && stage.dataset.state !== state) stage.dataset.state = state;
    if (state === 'answered' && place('result').querySelector('.ended')) failed('ended');
    if (!loaded && place('restore') && document.querySelector('#examples img')) {
      loaded = true;
      if (kept() && state === 'empty') place('restore').click();
    }
  };
  // On a phone the answer lies below the picture: it comes into view by as little scrolling as that takes.
  const come = () => {
    const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
    const card = place('result').querySelector('.card:not(.warning)');
    card?.scrollIntoView({block: 'nearest', behavior: still ? 'instant' : 'smooth'});
  };
  const fresh = () => [...crypto.getRandomValues(new Uint8Array(16))].map(x => x.toString(16).padStart(2, '0')).join('');
  const renew = (name, entered, notice) => {
    [id, trouble] = [name, ''];
    kept('');
    enter(entered, notice);
    place('wipe')?.click();
  };
  const begin = () => renew(fresh(), 'waiting', 'waiting');
  const clear = () => renew('', 'empty', 'empty');
  // Gradio forgets the picture that waits behind an analysis that fails: it is sent anew.
  const failed = reason => {
    if (state === 'empty') return;
    if (!reason && state === 'waiting' && sent && sent !== id) return place('again').click();
    renew(fresh(), 'failed', reason || trouble || 'failed');
    place('notice').scrollIntoView({block: 'nearest'});
  };
  // The reader's word on how this picture was taken counts, also when it comes before the detector's.
  const correct = () => { spoken = id; };
  const corrected = () => spoken !== '' && spoken === id;
  const resume = () => {
    const last = kept();
    begin();
    return {id: last, answered: false};
  };
  const again = () => { begin(); place('again').click(); };
  const send = () => { sent = id; return screen(); };
  const screen = report => {
    if (report) asked[report] = id;
    return {id, answered: state === 'answered'};
  };
  const save = (report, file) => {
    if (!file?.content || asked[report] !== id) return;
    const bytes = Uint8Array.from(atob(file.content), letter => letter.charCodeAt(0));
    const url = URL.createObjectURL(new Blob([bytes], {type: file.type}));
    Object.assign(document.createElement('a'), {href: url, download: file.name}).click();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
  };

  // A file is chosen, dropped or pasted. What Gradio does not take, being no picture or too large, is never uploaded.
  const chosen = event => {
    if (!event.target.closest?.('#picture') || (event.type === 'change' && !event.target.files?.length)) return;
    begin();
    timer = setTimeout(() => failed('refused'), PATIENCE);
  };
  document.addEventListener('change', chosen, true);
  document.addEventListener('drop', chosen, true);

  // Gradio tells nobody of an upload that fails or of a server that is gone: so we look at what it fetches.
  const fetched = window.fetch;
  window.fetch = async (...args) => {
    const url = String(args[0]?.url ?? args[0]);
    const upload = UPLOAD.test(url) && place('stage')?.offsetParent;
    if (upload && state !== 'waiting') begin();  // from the camera or the clipboard
    if (upload) clearTimeout(timer);
    let answer;
    try {
      answer = await fetched.apply(window, args);
    } catch (error) {
      if (error?.name !== 'AbortError' && (state === 'waiting' || url.includes('/queue/'))) failed('gone');
      throw error;
    }
    if (upload && !answer.ok) failed('upload');
    if (RUN.test(url)) trouble = answer.ok ? '' : [429, 503].includes(answer.status) ? 'full' : 'failed';
    return answer;
  };

  new MutationObserver(settle).observe(document.body, {childList: true, subtree: true});
  settle();
  window.lesion = {begin, correct, corrected, clear, failed, resume, again, send, screen, save, fits: name => name !== '' && name === id};
}
