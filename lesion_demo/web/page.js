options => {
  // Gradio says an example's caption twice to a screen reader, names a box without a role, makes a group of its own of
  // each radio button, so that arrow keys do nothing, leaves the handle between two pictures to the mouse alone, and
  // tells nobody who cannot see it that a text has changed.
  const STEP = 0.05;
  const LIVE = ['result', 'point-note'];  // not `meaning`, which repeats the number of `result`
  const mend = () => {
    document.querySelectorAll('#examples img:not([alt=""])').forEach(image => { image.alt = ''; });
    document.querySelectorAll('[aria-label="Empty value"]:not([role])').forEach(box => { box.role = 'img'; });
    LIVE.forEach(id => document.getElementById(id)?.setAttribute('aria-live', 'polite'));
    document.querySelectorAll('fieldset').forEach(group => {
      const buttons = [...group.querySelectorAll('input[type=radio]')];
      buttons.forEach(button => { if (button.name !== buttons[0].name) button.name = buttons[0].name; });
    });
  };

  document.documentElement.lang = options.language;
  document.title = options.title;
  new MutationObserver(mend).observe(document.body, {childList: true, subtree: true, attributeFilter: ['name']});
  mend();
  // What was opened stays open when a control is moved, though its text is written anew.
  const opened = {};
  const reopen = () => document.querySelectorAll('details[data-more]').forEach(one => {
    if (opened[one.dataset.more] && !one.open) one.open = true;
  });
  document.addEventListener('click', event => {
    const one = event.target.closest?.('details[data-more] > summary')?.parentElement;
    if (one) opened[one.dataset.more] = !one.open;
  }, true);
  new MutationObserver(reopen).observe(document.body, {childList: true, subtree: true, attributeFilter: ['open']});
  document.addEventListener('input', event => {
    if (event.target.matches?.('.curtain input')) event.target.parentElement.style.setProperty('--at', event.target.value);
  });
  // What is copied stands in the page already: a browser lets nothing be copied long after the click.
  document.addEventListener('click', async event => {
    const button = event.target.closest?.('button.copy');
    if (!button) return;
    const box = button.closest('[data-picture]');
    const text = box.querySelector('pre.record');
    const say = words => { box.querySelector('[role=status]').textContent = words; };
    try {
      await navigator.clipboard.writeText(text.textContent);
      say(button.dataset.copied);
    } catch {  // without HTTPS there is no clipboard
      text.parentElement.open = opened.record = true;
      getSelection().selectAllChildren(text);
      say(document.execCommand('copy') ? button.dataset.copied : button.dataset.select);
    }
  });
}
