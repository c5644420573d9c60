options => {
  // Gradio says an example's caption twice to a screen reader, names a box without a role, makes a group of its own of
  // each radio button, so that arrow keys do nothing, leaves the handle between two pictures to the mouse alone, and
  // tells nobody who cannot see it that a text has changed.
  const STEP = 0.05;
  const LIVE = ['result', 'point-note', 'meaning'];
  const mend = () => {
    document.querySelectorAll('#examples img:not([alt=""])').forEach(image => { image.alt = ''; });
    document.querySelectorAll('[aria-label="Empty value"]:not([role])').forEach(box => { box.role = 'img'; });
    LIVE.forEach(id => document.getElementById(id)?.setAttribute('aria-live', 'polite'));
    document.querySelectorAll('fieldset').forEach(group => {
      const buttons = [...group.querySelectorAll('input[type=radio]')];
      buttons.forEach(button => { if (button.name !== buttons[0].name) button.name = buttons[0].name; });
    });
    document.querySelectorAll('#heat [data-testid=slider]:not([tabindex])').forEach(equip);
    document.querySelectorAll('#heat img').forEach((image, index) => {
      if (image.alt !== options.pictures[index]) image.alt = options.pictures[index];
    });
  };
  const bounds = () => {
    const pictures = [...document.querySelectorAll('#heat img')].map(image => image.getBoundingClientRect());
    return pictures.find(box => box.width > 0);
  };
  const position = handle => {
    const box = bounds();
    const at = handle.getBoundingClientRect();
    return box ? Math.min(1, Math.max(0, (at.left + at.width / 2 - box.left) / box.width)) : 0;
  };
  const equip = handle => {
    handle.tabIndex = 0;
    handle.setAttribute('role', 'slider');
    handle.setAttribute('aria-label', options.handle);
    handle.setAttribute('aria-valuemin', 0);
    handle.setAttribute('aria-valuemax', 100);
    const tell = () => handle.setAttribute('aria-valuenow', Math.round(position(handle) * 100));
    new MutationObserver(tell).observe(handle, {attributeFilter: ['style']});
    tell();
    handle.addEventListener('keydown', event => {
      const now = position(handle);
      const wanted = {
        ArrowLeft: now - STEP, ArrowDown: now - STEP, ArrowRight: now + STEP, ArrowUp: now + STEP, Home: 0, End: 1,
      }[event.key];
      if (wanted === undefined) return;
      event.preventDefault();
      drag(handle, Math.min(1, Math.max(0, wanted)));
    });
  };
  const drag = (handle, share) => {  // the handle listens to the mouse alone
    const from = handle.getBoundingClientRect();
    const start = from.left + from.width / 2;
    const distance = (share - position(handle)) * bounds().width;
    const say = (target, type, x) => target.dispatchEvent(
      new MouseEvent(type, {clientX: x, clientY: from.top + 1, bubbles: true, cancelable: true, view: window}));
    say(handle, 'mousedown', start);
    say(window, 'mousemove', start + distance);
    say(window, 'mouseup', start + distance);
  };
  // Without these, neither wheel nor finger scrolls the page while it is over the heat map.
  const overHeat = event => event.target.closest?.('#heat') && !event.target.closest('[data-testid=slider]');
  document.addEventListener('wheel', event => { if (overHeat(event)) event.stopPropagation(); }, true);
  document.addEventListener('touchstart', event => {
    if (overHeat(event) && event.touches.length === 1) event.stopPropagation();
  }, true);

  document.documentElement.lang = options.language;
  document.title = options.title;
  new MutationObserver(mend).observe(document.body, {childList: true, subtree: true, attributeFilter: ['name']});
  mend();
}
